"""Steps of MEAN, SUM, REDUCE_MAX and REDUCE_MIN."""

from __future__ import annotations

from functools import partial

import numpy as np

from bitwright import _engine
from bitwright.numerics.qparams import STORAGES
from bitwright.numerics.requantize import INT32_MAX
from bitwright.program.definition import Call
from bitwright.program.families.reduction import AffineSum, FixedSum, reduced_axes, reduced_count, sum_rule
from bitwright.program.operands import QUANTIZED
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import is_biased, stored_zero_point

#: Beyond this `quantize_multiplier` has no answer, and far beyond it float32 has none.
_LARGEST_RATIO = 2.0**30


def _reason(call: Call) -> str:
    """Why the engine reduces no such tensor."""
    if call.input(0).dtype not in QUANTIZED:
        return f"no kernel for {call.input(0).dtype}"
    if call.input(1).data is None:
        return "the axes are computed while the model runs"
    return "" if reduced_count(call) else "there is nothing to reduce"


def _step(call: Call, method: str, **arguments: object) -> Steps:
    tensors = {"x": call.input(0).name, "y": call.output.name}
    return (Step(method, tensors, arguments={"axes": reduced_axes(call), **arguments}, strided=frozenset({"x"})),)


def _extreme(call: Call, *, largest: bool) -> Steps | str:
    return _reason(call) or _step(call, "reduce_extreme", largest=largest)


def _sum(call: Call, *, mean: bool) -> Steps | str:
    x = call.input(0)
    if reason := _reason(call):
        return reason
    count, biased = reduced_count(call), is_biased(x.dtype)
    most = count * (1 << STORAGES[x.dtype].bits)
    if most > INT32_MAX:
        return f"sums of {count} elements overflow 32 bits"
    ratio = x.scale / call.output.scale
    if ratio >= _LARGEST_RATIO:
        return f"scales with a ratio of {ratio:.3g} have no multiplier"
    rule = sum_rule(call, mean=mean)
    if rule is None:
        return "no kernel for sums of i16 in float32"
    if isinstance(rule, AffineSum):
        return _affine(call, rule, -128 * count if biased else 0)
    if most << max(rule.shift, 0) > INT32_MAX:
        return f"sums of {count} elements times 2**{rule.shift} overflow 32 bits"
    return _step(call, "reduce_sum", offset=-stored_zero_point(x) * count, requant=_requant(call, rule))


def _affine(call: Call, rule: AffineSum, offset: int) -> Steps:
    kind, bias = STORAGES[call.output.dtype], 128 if is_biased(call.output.dtype) else 0
    return _step(
        call,
        "reduce_sum_affine",
        offset=offset,
        scale=float(rule.scale),
        shift=float(rule.shift),
        low=kind.qmin,
        high=kind.qmax,
        bias=bias,
    )


def _requant(call: Call, rule: FixedSum) -> _engine.Requant:
    kind, bias = STORAGES[call.output.dtype], 128 if is_biased(call.output.dtype) else 0
    return _engine.Requant(
        rule.arithmetic,
        call.output.zero_point + bias,
        kind.qmin + bias,
        kind.qmax + bias,
        np.empty(0, np.float32),
        np.array([rule.multiplier], np.int32),
        np.array([rule.shift], np.int32),
        np.empty(0, np.float64),
    )


STEPS: dict[str, MakeSteps] = {
    "MEAN": partial(_sum, mean=True),
    "SUM": partial(_sum, mean=False),
    "REDUCE_MAX": partial(_extreme, largest=True),
    "REDUCE_MIN": partial(_extreme, largest=False),
}
