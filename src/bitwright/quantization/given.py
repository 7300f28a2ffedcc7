"""Given: ranges that are told instead of measured: means and deviations of inputs, a range for what has no statistics.

    real = (q - mean) / std    so    scale = 1 / std, zero_point = mean

Source: TensorFlow Lite's converter, `quantized_input_stats` and `default_ranges_stats`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from bitwright.errors import UsageError
from bitwright.numerics.qparams import STORAGES, QuantParams


@dataclass(frozen=True)
class Given:
    """What is told.

    Args:
        inputs: (mean, standard deviation) of u8 inputs by name.
        default: (lowest, highest) value of activations without statistics; None: they must have some.
        qparams: parameters that training chose, by name of the weight, or of the activation that others share
            them with.
    """

    inputs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    default: tuple[float, float] | None = None
    qparams: Mapping[str, QuantParams] = field(default_factory=dict)

    def input_qparams(self, name: str, storage: str) -> QuantParams:
        """The parameters of a named input.

        Raises:
            UsageError: it is not quantized to u8.

        >>> Given({"x": (127.5, 127.5)}).input_qparams("x", "u8")
        QuantParams(u8, scale=0.00784314, zero_point=128)
        """
        if storage != "u8":
            raise UsageError(
                f"input {name!r} is {storage}: a mean and a standard deviation are of u8 inputs",
                next="take mode uint8, or leave the input's statistics to calibration",
            )
        mean, std = self.inputs[name]
        return QuantParams((1.0 / std,), (math.floor(mean + 0.5),), storage)

    def check_used(self, activations: Container[str]) -> None:
        """Refuse numbers of inputs that are not quantized.

        Raises:
            UsageError: an input that no integer node reads.
        """
        for name in self.inputs:
            if name not in activations:
                raise UsageError(
                    f"input {name!r} is not quantized, so no mean and standard deviation are of use",
                    next="leave its statistics out",
                )


#: Every range is measured.
NOTHING = Given()


def make_given(
    inputs: Sequence[str],
    input_stats: Mapping[str, tuple[float, float]] | None,
    default_ranges: tuple[float, float] | None,
    *,
    calibrated: bool,
    mode: str,
) -> Given:
    """What the user tells, checked.

    Args:
        inputs: names of the graph's inputs.
        input_stats: (mean, standard deviation) by input name.
        default_ranges: (lowest, highest).
        calibrated: whether anything has a range to be told.
        mode: what errors call it.

    Raises:
        UsageError: an unknown input, numbers that make no range, or nothing to tell a range of.
    """
    if not calibrated and (input_stats or default_ranges is not None):
        raise UsageError(
            f"mode {mode} quantizes no activations, so there are no ranges to give",
            next="leave input_stats and default_ranges out, or take mode uint8",
        )
    largest = STORAGES["u8"].qmax
    for name, (mean, std) in (input_stats or {}).items():
        if name not in inputs:
            raise UsageError(f"there is no input {name!r}", next=f"the inputs are {', '.join(inputs)}")
        if not (math.isfinite(std) and std > 0 and 0 <= mean <= largest):
            raise UsageError(
                f"input {name!r} cannot have mean {mean} and standard deviation {std}",
                next=f"a mean in 0..{largest} (the integer that stands for real 0) and a positive deviation",
            )
    if default_ranges is not None:
        low, high = default_ranges
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UsageError(f"the default range cannot be {low}..{high}", next="give two numbers, such as (-6, 6)")
    return Given(dict(input_stats or {}), default_ranges)
