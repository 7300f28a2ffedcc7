"""Steps of SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION."""

from __future__ import annotations

import numpy as np

from bitwright.numerics.qparams import STORAGES
from bitwright.numerics.requantize import quantize_multiplier
from bitwright.program.definition import Call
from bitwright.program.families.normalization import (
    DIFFERENCE_BITS,
    SUM_BITS,
    factor_of_q5,
    fixed_exponentials,
    real_exponentials,
    softmax_factor_16bit,
    softmax_tables_16bit,
)
from bitwright.program.options import SoftmaxOptions
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import is_biased, stored_zero_point

#: The longest rows whose sums stay in range: of exponentials in Q12, of int16 exponentials, of squares of differences
#: up to 255.
_MOST_FIXED, _MOST_WIDE, _MOST_SQUARES = (1 << SUM_BITS) - 1, (1 << 16) - 1, ((1 << 31) - 1) // 255**2
#: Within this and its inverse, products of float32 scales with integers stay in range, and results in int32.
_LARGEST_SCALE = 2.0**30


def _reason(call: Call, most: int) -> str:
    """Why the engine has no kernel for such rows."""
    x = call.input(0)
    if x.dtype == "f32":
        return "exponentials and sums of float32 are numpy's own"
    return f"sums of rows of {x.shape[-1]} overflow" if x.shape[-1] > most else ""


def _step(call: Call, method: str, **arguments: object) -> Steps:
    return (
        Step(method, {"x": call.input(0).name, "y": call.output.name}, arguments=arguments, exact=frozenset({"x"})),
    )


def _softmax(call: Call) -> Steps | str:
    x, beta = call.input(0), call.options(SoftmaxOptions).beta
    if x.dtype == "i16":
        return _softmax_wide(call, beta)
    if call.rounding == "fp32_even":
        return _softmax_real(call, beta)
    if reason := _reason(call, _MOST_FIXED) or _factor_reason(x.scale * beta):
        return reason
    return _step(call, "softmax", exponentials=fixed_exponentials(x.scale, beta).exponentials.astype(np.int32))


def _factor_reason(scale: float) -> str:
    """Why a scale makes no multiplier of differences: the gemmlowp functions take factors above 1."""
    return "" if scale * (1 << (31 - DIFFERENCE_BITS)) > 1 else f"a scale of {scale:.3g} is below Q{DIFFERENCE_BITS}"


def _softmax_real(call: Call, beta: float) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := _reason(call, (1 << 31) - 1):
        return reason
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = real_exponentials(x.scale, beta)
    if not np.isfinite(exponentials).all() or 1 / y.scale > _LARGEST_SCALE:
        return "the scales are beyond float32"
    kind, bias = STORAGES[y.dtype], 128 if is_biased(y.dtype) else 0
    return _step(
        call,
        "softmax_real",
        exponentials=exponentials,
        scale=y.scale,
        zero_point=stored_zero_point(y),
        bounds=(kind.qmin + bias, kind.qmax + bias),
    )


def _softmax_wide(call: Call, beta: float) -> Steps | str:
    if reason := _reason(call, _MOST_WIDE):
        return reason
    factor = softmax_factor_16bit(call.input(0).scale, beta)
    if not factor < 2.0**30:
        return f"differences times {factor:.3g} have no multiplier"
    exponentials, inverses = softmax_tables_16bit()
    multiplier, shift = quantize_multiplier(factor)
    is_single = call.rounding == "tflite_single"
    return _step(
        call,
        "softmax_wide",
        exponentials=exponentials,
        inverses=inverses,
        multiplier=multiplier,
        shift=shift,
        is_single=is_single,
    )


def _log_softmax(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    is_real = call.rounding == "fp32_even"
    if reason := _reason(call, (1 << 31) - 1 if is_real else _MOST_FIXED):
        return reason
    if is_real:
        if x.scale > _LARGEST_SCALE:
            return "the scales are beyond float32"
        return _step(
            call,
            "log_softmax_real",
            exponentials=real_exponentials(x.scale, 1.0),
            scale_in=x.scale,
            scale_out=y.scale,
            bias=128 if is_biased(x.dtype) else 0,
            zero_point=stored_zero_point(y),
        )
    if reason := _factor_reason(x.scale):
        return reason
    table = fixed_exponentials(x.scale, 1.0)
    multiplier, shift = factor_of_q5(call)
    if shift > 0:
        return f"a scale of {x.scale:.3g} makes differences of Q{DIFFERENCE_BITS} overflow"
    return _step(
        call,
        "log_softmax",
        exponentials=table.exponentials.astype(np.int32),
        differences=table.in_q5.astype(np.int32),
        lowest=table.lowest,
        multiplier=multiplier,
        shift=shift,
    )


def _l2_normalization(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := _reason(call, _MOST_SQUARES):
        return reason
    return _step(
        call,
        "l2_normalization",
        zero_point_in=stored_zero_point(x),
        zero_point_out=stored_zero_point(y),
        is_scaled_first=x.dtype == "u8",
    )


STEPS: dict[str, MakeSteps] = {
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "L2_NORMALIZATION": _l2_normalization,
}
