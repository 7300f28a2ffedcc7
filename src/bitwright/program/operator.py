"""Operator: one step of a Program: a name of TFLite's vocabulary, operands and results by name, options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Padding(StrEnum):
    """How a window is placed at the border."""

    SAME = "SAME"
    VALID = "VALID"


class Activation(StrEnum):
    """What an operator does to its result before giving it: TFLite's ActivationFunctionType."""

    NONE = "NONE"
    RELU = "RELU"
    RELU_N1_TO_1 = "RELU_N1_TO_1"
    RELU6 = "RELU6"
    TANH = "TANH"


class MirrorPadMode(StrEnum):
    """What lies beyond the border: the mirror image without (REFLECT) or with (SYMMETRIC) the border itself."""

    REFLECT = "REFLECT"
    SYMMETRIC = "SYMMETRIC"


@dataclass(frozen=True)
class Options:
    """An operator's attributes. A subclass per operator; its fields are named as TFLite's schema names them, in
    snake_case (`fused_activation_function`, `dilation_w_factor`), and every field has the schema's default.
    """


@dataclass(frozen=True)
class Operator:
    """One step.

    Args:
        kind: TFLite's name of it, such as "CONV_2D".
        inputs: names of its operands; None where an optional one is left out.
        outputs: names of its results.
        options: its attributes, of the class that the operator's Definition names.
    """

    kind: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    options: Options = Options()
