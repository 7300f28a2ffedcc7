"""remove_identities: nodes that give back their input as it came."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute
from bitwright.graph.constants import array_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import bypass, is_op


def remove_identities(model: ir.Model) -> Outcome:
    """Take out Identity, Dropout at inference, Cast to the same type, and Transpose and Pad that change nothing.

    A node stays where it carries a name of the graph's interface, such as an Identity from an input to an output.
    """
    removed = 0
    for node in list(model.graph):
        test = TESTS.get(node.op_type)
        if test is not None and is_op(node, node.op_type) and node.inputs and test(node) and bypass(node):
            removed += 1
    return Outcome(model, removed > 0, f"{removed} nodes removed")


def is_inference_dropout(node: ir.Node) -> bool:
    """Dropout whose mask nobody reads and that no input puts into training mode."""
    if any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:]):
        return False
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    training = array_of(node.inputs[2])
    return training is not None and not np.any(training)


def is_same_cast(node: ir.Node) -> bool:
    """Cast to the type that the input is known to have."""
    source = node.inputs[0]
    return source is not None and source.dtype is not None and source.dtype == int_attribute(node, "to", 0)


def is_same_order(node: ir.Node) -> bool:
    """Transpose that leaves every axis where it is."""
    order = node.attributes.get("perm")
    return order is not None and not order.is_ref() and list(order.as_ints()) == list(range(len(order.as_ints())))


def is_empty_pad(node: ir.Node) -> bool:
    """Pad by nothing on every side."""
    pads = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return pads is not None and not np.any(pads)


TESTS: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": lambda node: True,
    "Dropout": is_inference_dropout,
    "Cast": is_same_cast,
    "Transpose": is_same_order,
    "Pad": is_empty_pad,
}
