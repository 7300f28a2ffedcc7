"""quantize_nodes: floats in, floats out, eight bits inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from bitwright.api import calibrate, quantize
from bitwright.calibration.statistics import Statistics, TensorStatistics
from bitwright.compat.graph_transforms.integer_inputs import with_integer_inputs
from bitwright.compat.graph_transforms.work import Work, counted
from bitwright.errors import TransformError
from bitwright.model import Model
from bitwright.transforms.outcome import Outcome, told


def quantize_nodes(
    work: Work,
    *,
    input_min: float | None = None,
    input_max: float | None = None,
    fallback_min: float | None = None,
    fallback_max: float | None = None,
) -> Outcome:
    """Let every operator that has an eight-bit form compute in eight bits; results go from one to the next as integers.

    Where ranges are known (calibration data, the log that `freeze_requantization_ranges` read, or a fallback) they
    become constants: full-integer arithmetic. Otherwise activations are quantized in the range that they have in each
    run, as TensorFlow's Min, Max and RequantizationRange found it: dynamic arithmetic.

    Args:
        work: whose model is quantized.
        input_min, input_max: the graph's float inputs become uint8, where 0 and 255 stand for these.
        fallback_min, fallback_max: the range of every activation that no other range is known of. Coarse: for files
            whose speed counts and whose results do not.

    Raises:
        TransformError: one end of a range without the other, or a range that is none.
        UsageError, SampleError, QuantParamsError: as `bitwright.quantize`.

    Source: TensorFlow's Graph Transform Tool, `quantize_nodes`.
    """
    given = pair("input", input_min, input_max)
    fallback = pair("fallback", fallback_min, fallback_max)
    if work.is_integer:
        return Outcome(work.model.graph, False, "the model computes in integers already")
    floats = work.floats()
    inputs = [] if given is None else [str(v.name) for v in floats.graph.graph.inputs if v.dtype == ir.DataType.FLOAT]
    known = work.ranges | {name: given for name in inputs if given is not None}
    if work.ranges or fallback is not None or work.calibration is not None:
        work.model = integer_model(work, known, fallback)
    else:
        work.model = quantize(floats, "dynamic", target=work.target)
    if given is not None:
        work.model = with_integer_inputs(work.model, *given)
    done, left = counted(work)
    return Outcome(work.model.graph, True, told(done, left))


def integer_model(
    work: Work, ranges: Mapping[str, tuple[float, float]], fallback: tuple[float, float] | None = None
) -> Model:
    """The full-integer model of known ranges; nodes that need a range that nobody knows stay as they are."""
    floats = work.floats()
    options: dict[str, Any] = {"target": work.target, "default_ranges": fallback}
    if work.calibration is not None:
        drawn: dict[str, Any] = {"preprocess": work.preprocess}
        if not ranges:
            return quantize(floats, "int8", calibration=work.calibration, **drawn, **options)
        seen = calibrate(floats, work.calibration, target=work.target, method="minmax", **drawn)
        statistics = replace(seen, tensors={**seen.tensors, **told_statistics(ranges)})
    else:
        statistics = Statistics(told_statistics(ranges), partial=True)
    return quantize(floats, "int8", statistics=statistics, method="minmax", **options)


def told_statistics(ranges: Mapping[str, tuple[float, float]]) -> dict[str, TensorStatistics]:
    """Ranges as what calibration would have seen."""
    return {name: TensorStatistics(1, low, high) for name, (low, high) in ranges.items()}


def pair(name: str, low: float | None, high: float | None) -> tuple[float, float] | None:
    """Both ends of a range, None where neither is given.

    Raises:
        TransformError: one of them alone, or not low < high.
    """
    if low is None and high is None:
        return None
    if low is None or high is None or not low < high:
        raise TransformError(
            f"{name}_min and {name}_max must be given together, the lower one first (got {low} and {high})",
            next=f"write quantize_nodes({name}_min=0, {name}_max=1)",
        )
    return low, high
