"""split_output_constants: a constant that is a graph output as well is given to its readers as a copy."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import unique_name


def split_output_constants(model: ir.Model) -> Outcome:
    """Readers of a constant that is also a graph output get one of their own, so that changing it changes no output.

    The copy shares the original's data.
    """
    graph, changed = model.graph, 0
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if not value.is_graph_output() or not value.uses() or tensor is None:
            continue
        name = unique_name(graph, f"{value.name}_constant")
        copy = ir.val(name, type=value.type, shape=value.shape, const_value=tensor)
        graph.register_initializer(copy)
        for use in list(value.uses()):
            use.node.replace_input_with(use.idx, copy)
        changed += 1
    return Outcome(model, changed > 0, f"{changed} constants that are outputs have copies for their readers")
