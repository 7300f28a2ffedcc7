"""freeze_requantization_ranges: ranges that each run looked for become constants, taken from a log of many runs."""

from __future__ import annotations

from bitwright.compat.graph_transforms.opening import value_names
from bitwright.compat.graph_transforms.quantize_nodes import integer_model
from bitwright.compat.graph_transforms.range_log import overall, read_log
from bitwright.compat.graph_transforms.work import Work, counted
from bitwright.errors import TransformError
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.strip_unused_nodes import check_names, main_values


def freeze_requantization_ranges(
    work: Work, *, min_max_log_file: str, min_percentile: float = 5.0, max_percentile: float = 5.0
) -> Outcome:
    """Make a model of dynamic arithmetic a full-integer one, with ranges of a log that `insert_logging` led to.

    Before `quantize_nodes` the ranges are kept for it. A node that needs a range that the log does not have goes on
    quantizing its activations as they arrive.

    Args:
        work: whose model is frozen.
        min_max_log_file: path of the log; lines of other kinds are passed over.
        min_percentile, max_percentile: how many percent of the lowest minima and of the highest maxima are left out.

    Raises:
        TransformError: the log cannot be read, holds no ranges, or names tensors that the graph does not have.

    Source: TensorFlow's Graph Transform Tool, `freeze_requantization_ranges`.
    """
    graph = work.model.graph
    if work.is_integer:
        return Outcome(graph, False, "the ranges of a full-integer model are constants already")
    logged = read_log(min_max_log_file)
    names = value_names(graph.graph, logged)
    try:
        check_names(main_values(graph), names)
    except TransformError as error:
        raise TransformError(
            f"{error.what}, but the log has ranges of it", where=min_max_log_file, next="log runs of this model"
        ) from error
    options = {"min_percentile": min_percentile, "max_percentile": max_percentile}
    for name, ranges in zip(names, logged.values(), strict=True):
        work.ranges[name] = overall(ranges, **options)
    runs = max(map(len, logged.values()))
    done = f"{len(logged)} ranges of {runs} runs"
    if not work.is_dynamic:
        return Outcome(graph, False, f"{done} kept for quantize_nodes")
    work.model = integer_model(work, work.ranges)
    more, left = counted(work)
    return Outcome(work.model.graph, True, told(f"{done}; {more}", left))
