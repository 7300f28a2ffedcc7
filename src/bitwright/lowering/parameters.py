"""Parameters: how the integers of a plan are spelled in TFLite's vocabulary."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Plan, Role

#: Real ranges that kernels give their results in, whatever was measured: `fixed_qparams` has their parameters.
#: Source: TensorFlow Lite, quantization specification.
UNIT, SIGNED_UNIT, LOG_UNIT = (0.0, 1.0), (-1.0, 1.0), (-16.0, 0.0)


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
