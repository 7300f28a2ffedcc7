"""extra_options: each is done, warned of in one line where leaving it out changes no number, or refused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bitwright.errors import UsageError

#: Options that change no number here: why.
_HARMLESS = {
    "ForceQuantizeNoInputCheck": "what only moves values is integer wherever a neighbour is",
    "DedicatedQDQPair": "a tensor has one pair, which holds the same numbers for every reader",
    "UseQDQContribOps": "the pairs are ONNX's own operators",
    "QDQDisableWeightAdjustForInt32Bias": "the scale of a weight grows where its bias would pass int32",
    "DefaultTensorType": "types are inferred from the graph",
}
#: Options that are not offered: the values that ask for nothing, and what to do instead.
_REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "EnableSubgraph": ((None, False), "leave it out: bodies of If and Loop stay float"),
    "AddQDQPairToWeight": ((None, False), "leave it out: weights are stored as integers with one DequantizeLinear"),
    "OpTypesToExcludeOutputQuantization": ((None, [], ()), "name nodes in nodes_to_exclude"),
    "QuantizeBias": ((None, True), "leave it out: integer kernels add int32 biases"),
    "SmoothQuant": ((None, False), "even out channels with `bitwright quantize --equalize`"),
    "ActivationRestrictedAsymmetric": ((None, False), 'take {"ActivationSymmetric": True}'),
    "BlockSize": ((None, 0), "blocks of weights: `bitwright quantize --mode weight-only --block-size 32`"),
}
#: Options that hold without being asked: memory does not grow with samples, Relu and Clip stay nodes, a Sigmoid has
#: the scale 1/256; those of SmoothQuant mean nothing without it.
_HELD = (
    "CalibMaxIntermediateOutputs",
    "QDQKeepRemovableActivations",
    "extra.Sigmoid.nnapi",
    "SmoothQuantAlpha",
    "SmoothQuantFolding",
)
_DONE = (
    "ActivationSymmetric",
    "WeightSymmetric",
    "MatMulConstBOnly",
    "CalibTensorRangeSymmetric",
    "CalibStridedMinMax",
    "CalibMovingAverage",
    "CalibMovingAverageConstant",
    "CalibPercentile",
    "MinimumRealRange",
    "TensorQuantOverrides",
    "QDQOpTypePerChannelSupportToAxis",
)
#: The axes of output channels, along which the scales of weights lie.
_CHANNEL_AXES: dict[str, tuple[int, ...]] = {"MatMul": (1, -1), "Conv": (0,), "ConvTranspose": (1,)}


@dataclass(frozen=True)
class Options:
    """What extra_options ask for.

    Args:
        activation_symmetric: activations have zero_point 0.
        weight_symmetric: weights have; None: as their type has it.
        constant_products_only: products of two activations stay float.
        symmetric_range: ranges are widened to [-m, m].
        stride: samples are averaged in parts of so many.
        average: ranges are averages over samples, not extremes.
        constant: how much a part moves the average of those before it.
        percentile: of method Percentile.
        smallest_range: the least width of a range.
        given: (lowest, highest) by tensor name, None where calibration decides.
    """

    activation_symmetric: bool = False
    weight_symmetric: bool | None = None
    constant_products_only: bool = False
    symmetric_range: bool = False
    stride: int | None = None
    average: bool = False
    constant: float = 0.01
    percentile: float = 99.999
    smallest_range: float | None = None
    given: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


def read_options(extra: Mapping[str, Any] | None, *, static: bool) -> Options:
    """What the dictionary asks for; a dynamic quantization has no use for what calibration does.

    Raises:
        UsageError: an unknown option, or one that is not offered.
    """
    asked = _table("extra_options", extra)
    for name, value in asked.items():
        _check(name, value)
    for op, axis in _table("QDQOpTypePerChannelSupportToAxis", asked.get("QDQOpTypePerChannelSupportToAxis")).items():
        if axis not in _CHANNEL_AXES.get(op, ()):
            raise UsageError(
                f"scales of {op} weights cannot lie along axis {axis}",
                where="extra_options, QDQOpTypePerChannelSupportToAxis",
                next="leave it out: they lie along the output channels",
            )
    if not static:
        _check_dynamic(asked)
        return Options()
    return Options(
        activation_symmetric=bool(asked.get("ActivationSymmetric")),
        weight_symmetric=asked.get("WeightSymmetric"),
        constant_products_only=bool(asked.get("MatMulConstBOnly")),
        symmetric_range=bool(asked.get("CalibTensorRangeSymmetric")),
        stride=None if (stride := _number(asked, "CalibStridedMinMax", least=1)) is None else int(stride),
        average=bool(asked.get("CalibMovingAverage")),
        constant=0.01 if (constant := _number(asked, "CalibMovingAverageConstant")) is None else constant,
        percentile=99.999 if (percentile := _number(asked, "CalibPercentile")) is None else percentile,
        smallest_range=_number(asked, "MinimumRealRange"),
        given={
            name: _given_range(name, rows)
            for name, rows in _table("TensorQuantOverrides", asked.get("TensorQuantOverrides")).items()
        },
    )


def warn(text: str) -> None:
    """One line of what has no meaning here."""
    warnings.warn(text, UserWarning, stacklevel=2)


def _check(name: str, value: Any) -> None:
    where = f"extra_options, {name}"
    if name in _REFUSED:
        silent, instead = _REFUSED[name]
        if value not in silent:
            raise UsageError(f"{name} = {value!r} is not offered", where=where, next=instead)
    elif name in _HARMLESS:
        if value:
            warn(f"{name} is not needed: {_HARMLESS[name]}")
    elif name not in (*_HELD, *_DONE):
        known = ", ".join(sorted((*_DONE, *_HELD, *_HARMLESS, *_REFUSED)))
        raise UsageError(f"unknown option {name!r}", where="extra_options", next=f"one of {known}")


def _check_dynamic(asked: Mapping[str, Any]) -> None:
    """Warn of what calibration would do, and of kernels that quantize activations as they arrive."""
    if asked.get("ActivationSymmetric"):
        warn("ActivationSymmetric has no meaning: DynamicQuantizeLinear chooses a zero_point for every input")
    if asked.get("WeightSymmetric") is False:
        warn("WeightSymmetric = False has no meaning: dynamic kernels are given weights with zero_point 0")
    if asked.get("MatMulConstBOnly") is False:
        warn("MatMulConstBOnly = False has no meaning: products of two activations stay float")
    calibrating = [
        name for name in asked if name.startswith("Calib") or name in ("MinimumRealRange", "TensorQuantOverrides")
    ]
    if any(asked[name] for name in calibrating):
        warn(f"{', '.join(calibrating)} has no meaning: a dynamic quantization has no calibration")


def _table(name: str, given: Any) -> dict[str, Any]:
    """What an option that holds names and values holds."""
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"{name} cannot be {given!r}", where="extra_options", next="give a dict by name")
    return dict(given or {})


def _number(asked: Mapping[str, Any], name: str, *, least: float = 0.0) -> float | None:
    """The number that an option is; None where it is not given."""
    given = asked.get(name)
    if given is None:
        return None
    if not isinstance(given, int | float | np.number) or not given >= least:
        raise UsageError(f"{name} cannot be {given!r}", where="extra_options", next=f"a number from {least:g}")
    return float(given)


def _given_range(name: str, rows: Any) -> tuple[float | None, float | None]:
    """The range of an activation that is told instead of measured."""
    where = f"extra_options, TensorQuantOverrides, {name!r}"
    instead = 'give [{"rmin": ..., "rmax": ...}], or exclude its nodes'
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError(f"an override cannot be {rows!r}", where=where, next=instead)
    if len(rows) != 1:
        raise UsageError(f"{len(rows)} overrides of one tensor are not offered", where=where, next=instead)
    row = dict(rows[0])
    low, high = row.pop("rmin", None), row.pop("rmax", None)
    if row:
        raise UsageError(f"an override of {', '.join(row)} is not offered", where=where, next=instead)
    ends = {"rmin": low, "rmax": high}
    return _number(ends, "rmin", least=-math.inf), _number(ends, "rmax", least=-math.inf)
