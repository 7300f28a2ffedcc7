"""Steps of QUANTIZE, DEQUANTIZE and CAST."""

from __future__ import annotations

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.types import rescaling, takes_inverse
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.runtime.steps.lookup import EVERYWHERE, has_table, table_steps
from bitwright.runtime.steps.requant import engine_requant
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import TYPES, is_biased, stored_zero_point


def _scale(tensor: Tensor) -> np.float32 | None:
    """The scale of a tensor that has one."""
    if tensor.qparams is None or tensor.qparams.scale.size != 1:
        return None
    return np.float32(tensor.scale)


def _quantize(call: Call) -> Steps | str:
    source, target = call.input(0), call.output
    scale = _scale(target)
    if scale is None:
        return f"{target.name!r} has more than one scale"
    if source.dtype != "f32":
        return _rescale(call)
    if target.dtype not in ("i8", "u8", "i16") or target.qparams is None or target.qparams.axis is not None:
        return f"no kernel to {target.dtype}, or along an axis"
    inverse = takes_inverse(target, call.rounding)
    with np.errstate(over="ignore"):
        factor = np.float32(1) / scale if inverse else scale
    return (
        Step(
            "quantize",
            {"x": source.name, "y": target.name},
            arguments={
                "rule": "multiplied" if inverse else "divided",
                "factor": float(factor),
                "zero_point": target.zero_point,
                "bias": 128 if is_biased(target.dtype) else 0,
            },
            strided=EVERYWHERE,
            anywhere=EVERYWHERE,
        ),
    )


def _rescale(call: Call) -> Steps | str:
    """Integers of one scale to those of another: 8 bits through a table, more by themselves."""
    source, target = call.input(0), call.output
    if has_table(call) and source.dtype != "i16":
        return table_steps(call)
    if _scale(source) is None or source.dtype not in ("i16", "i32") or target.dtype not in ("i8", "u8", "i16", "i32"):
        return f"no kernel from {source.dtype} to {target.dtype}"
    largest = 2 ** (8 * DTYPES[source.dtype].itemsize)  # of the difference of an integer and a zero_point
    how = rescaling(call)
    if (source.dtype == "i32" and source.zero_point) or largest * float(how.real_multiplier) >= 2**31:
        return "32 bits do not hold every result"
    return (
        Step(
            "rescale",
            {"x": source.name, "y": target.name},
            arguments={"zero_point": source.zero_point, "requant": engine_requant(how, 1)},
            strided=EVERYWHERE,
            exact=EVERYWHERE,
        ),
    )


def _dequantize(call: Call) -> Steps | str:
    source = call.input(0)
    scale = _scale(source)
    if scale is None or source.dtype not in ("i8", "u8", "i16"):
        return f"no kernel from {source.dtype}, or {source.name!r} has more than one scale"
    return (
        Step(
            "dequantize",
            {"x": source.name, "y": call.output.name},
            arguments={"factor": float(scale), "zero_point": stored_zero_point(source)},
            strided=EVERYWHERE,
            anywhere=EVERYWHERE,
        ),
    )


def _cast(call: Call) -> Steps | str:
    source, target = call.input(0), call.output
    for tensor in (source, target):
        if tensor.dtype not in TYPES:
            return f"no kernel for {tensor.dtype}"
    return (
        Step(
            "cast",
            {"x": source.name, "y": target.name},
            arguments={"x_meaning": _meaning(source), "y_meaning": _meaning(target)},
            strided=EVERYWHERE,
            exact=EVERYWHERE,
        ),
    )


def _meaning(tensor: Tensor) -> str:
    return "biased" if is_biased(tensor.dtype) else "truth" if tensor.dtype == "bool" else "itself"


STEPS: dict[str, MakeSteps] = {"QUANTIZE": _quantize, "DEQUANTIZE": _dequantize, "CAST": _cast}
