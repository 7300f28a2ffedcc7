"""Parameters: how the integers of a plan are spelled in TFLite's vocabulary."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Plan, Role

#: Real ranges that kernels give their results in, whatever was measured.
#: Source: TensorFlow Lite, quantization specification.
UNIT, SIGNED_UNIT, LOG_UNIT = "unit", "signed-unit", "log-unit"

_FIXED: dict[tuple[str, str], tuple[float, int]] = {
    (UNIT, "i8"): (1 / 256, -128),
    (UNIT, "u8"): (1 / 256, 0),
    (UNIT, "i16"): (1 / 32768, 0),
    (SIGNED_UNIT, "i8"): (1 / 128, 0),
    (SIGNED_UNIT, "u8"): (1 / 128, 128),
    (SIGNED_UNIT, "i16"): (1 / 32768, 0),
    (LOG_UNIT, "i8"): (16 / 256, 127),
    (LOG_UNIT, "u8"): (16 / 256, 255),
}


def fixed(bounds: str, storage: str) -> QuantParams:
    """The parameters that a kernel with a known range gives its result in.

    >>> fixed(UNIT, "i8")
    QuantParams(i8, scale=0.00390625, zero_point=-128)
    """
    scale, zero_point = _FIXED[bounds, storage]
    return QuantParams((scale,), (zero_point,), storage)


def is_legacy(plan: Plan | None) -> bool:
    """Whether a plan means TFLite's old form: uint8 activations with uint8 weights of any zero_point.

    One for LiteRT says so by what it holds: both, or activations alone. Runtimes that take uint8 beside int8 as well
    hold both in other modes too, and mean i8 moved by 128 there.
    """
    if plan is None:
        return False
    planned = [(t.role, t.qparams.storage) for t in plan.tensors.values() if t.qparams is not None]
    activations = {storage for role, storage in planned if role is Role.ACTIVATION}
    weights = {storage for role, storage in planned if role is Role.WEIGHT}
    if plan.target != "litert":
        return plan.mode == "uint8" and "i8" not in weights
    return "u8" in activations and ("u8" in weights or (not weights and "i8" not in activations))


def activation_parameters(qparams: QuantParams, *, legacy: bool) -> QuantParams:
    """An activation's parameters as TFLite's kernels take them: i8 for u8, the same reals exactly.

    Raises:
        Refusal: a storage type or zero_point that no kernel takes.
    """
    storage, points = qparams.storage, qparams.zero_point
    if qparams.axis is not None or qparams.block_shape is not None:
        raise Refusal("its activations have more than one scale")
    if storage == "u8" and not legacy:
        return QuantParams(qparams.scale, points - 128, "i8")
    if storage == "i16" and points.any():
        raise Refusal("its 16-bit activations have a zero_point, the kernels' have none")
    if storage not in ("i8", "u8", "i16"):
        raise Refusal(f"its activations are {storage}, the kernels take i8 and i16")
    return QuantParams(qparams.scale, points, storage)


def bias_parameters(data: QuantParams, weight: QuantParams) -> QuantParams:
    """A bias's parameters: the scale of its accumulator.

    scale = scale of the data * scale of the weight; i32, and i64 beside 16-bit data.
    """
    scale = (np.float32(data.scale.reshape(())) * weight.scale).astype(np.float32)
    return QuantParams(scale, 0, "i64" if data.storage == "i16" else "i32", 0 if weight.axis is not None else None)
