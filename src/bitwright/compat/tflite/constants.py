"""Constants: TFLite's enums and small values, and how those of TensorFlow are recognised without importing it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from bitwright.compat.several import several
from bitwright.errors import UsageError


class Optimize(enum.Enum):
    """What to make a model good at."""

    DEFAULT = "DEFAULT"  # as the other options say: dynamic range, float16, or integers where there are samples
    OPTIMIZE_FOR_SIZE = "OPTIMIZE_FOR_SIZE"  # weights of 8 bits, float arithmetic
    OPTIMIZE_FOR_LATENCY = "OPTIMIZE_FOR_LATENCY"  # integer arithmetic
    EXPERIMENTAL_SPARSITY = "EXPERIMENTAL_SPARSITY"  # warned about: weights are stored dense

    def __str__(self) -> str:
        return str(self.value)


class OpsSet(enum.Enum):
    """Which operators the converted model may hold."""

    TFLITE_BUILTINS = "TFLITE_BUILTINS"
    SELECT_TF_OPS = "SELECT_TF_OPS"
    TFLITE_BUILTINS_INT8 = "TFLITE_BUILTINS_INT8"
    EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 = (
        "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    )
    EXPERIMENTAL_STABLEHLO_OPS = "EXPERIMENTAL_STABLEHLO_OPS"

    def __str__(self) -> str:
        return str(self.value)

    @staticmethod
    def get_options() -> list[str]:
        """Their names."""
        return [str(option) for option in OpsSet]


class OpResolverType(enum.Enum):
    """Which kernels an Interpreter runs; its docstring says what each is here."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


class RepresentativeDataset:
    """Samples to calibrate on.

    Args:
        input_gen: a function that returns a generator of samples.
    """

    def __init__(self, input_gen: Callable[[], Any]) -> None:
        self.input_gen = input_gen


class TargetSpec:
    """What the device runs.

    Args:
        supported_ops: of OpsSet; {TFLITE_BUILTINS} by default.
        supported_types: types that weights (float16) or activations (int8) may have; none by default.
        experimental_select_user_tf_ops, experimental_supported_backends: kept; nothing is converted differently for
            them, nor for TensorFlow's two private attributes.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _SPEC:
            raise UsageError(f"a target_spec has no attribute {name!r}", next=f"it has {', '.join(_SPEC[:4])}")
        object.__setattr__(self, name, value)

    def __init__(
        self,
        supported_ops: Collection[Any] | None = None,
        supported_types: Collection[Any] | None = None,
        experimental_select_user_tf_ops: Collection[str] | None = None,
        experimental_supported_backends: Collection[str] | None = None,
    ) -> None:
        self.supported_ops = {OpsSet.TFLITE_BUILTINS} if supported_ops is None else supported_ops
        self.supported_types = set() if supported_types is None else supported_types
        self.experimental_select_user_tf_ops = experimental_select_user_tf_ops or set()
        self.experimental_supported_backends = experimental_supported_backends


_SPEC = (
    "supported_ops",
    "supported_types",
    "experimental_select_user_tf_ops",
    "experimental_supported_backends",
    "_experimental_custom_op_registerers",
    "_experimental_supported_accumulation_type",
)


def members(given: Any, kind: type[enum.Enum], where: str) -> frozenset[str]:
    """The values of what was given of an enum: ours, TensorFlow's own, or its name; one or a collection of them.

    Raises:
        UsageError: something that the enum does not have.

    >>> sorted(members([Optimize.DEFAULT, "OPTIMIZE_FOR_SIZE"], Optimize, "optimizations"))
    ['DEFAULT', 'OPTIMIZE_FOR_SIZE']
    """
    items = several(given)
    known = [str(member.value) for member in kind]
    found = {str(getattr(item, "value", item)) for item in items}
    if unknown := sorted(found - set(known)):
        raise UsageError(f"{where} cannot hold {', '.join(unknown)}", next=f"of {kind.__name__}: {', '.join(known)}")
    return frozenset(found)


def type_name(given: Any, where: str) -> str:
    """The name of a data type: TensorFlow's, numpy's, or a string.

    Raises:
        UsageError: not a type.

    >>> type_name(np.uint8, "inference_type"), type_name("float16", "supported_types")
    ('uint8', 'float16')
    """
    name = getattr(given, "name", None)
    if isinstance(name, str):
        return name
    try:
        return str(np.dtype(given).name)
    except TypeError as error:
        raise UsageError(
            f"{where} cannot be {given!r}: it is no data type", next="tf.float32, tf.int8, numpy.int8, ..."
        ) from error
