"""sink_transposes: Transposes move behind what works element by element, where they meet their inverses and go."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import int_attribute, ints_attribute
from bitwright.graph.constants import HalfTensor, QuantizedTensor, array_of, constant_of
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.rewiring import bypass, graph_of, is_op, set_constant

#: Element by element, with operands that broadcast.
ELEMENTWISE = frozenset({
    *("Abs", "Add", "Ceil", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid"),
    *("Softplus", "Softsign", "Sqrt", "Sub", "Tanh"),
})  # fmt: skip
_REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"})
#: Constants whose stored form must not be lost.
_HELD = (HalfTensor, QuantizedTensor)

Perm = tuple[int, ...]


def sink_transposes(model: ir.Model) -> Outcome:
    """f(Transpose(x)) becomes Transpose(f(x)) for what works element by element, joins, or reduces; a Transpose of a
    Transpose is one, and none where it is the inverse.

    Constant operands are transposed the other way. What PyTorch's exporter and tf2onnx make of layers whose channels
    are last loses its Transposes but for those at its borders.
    """
    moved = 0
    for node in list(model.graph):
        if is_op(node, "Transpose"):
            moved += _merge(node)
        elif is_op(node, *ELEMENTWISE):
            moved += _sink_through(node)
        elif is_op(node, "Concat"):
            moved += _sink_through_concat(node)
        elif is_op(node, *_REDUCTIONS):
            moved += _sink_through_reduction(node)
    for node in reversed(list(model.graph)):
        if is_op(node, "Transpose") and not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph_of(node).remove(node, safe=True)
    return Outcome(model, moved > 0, f"{moved} transposes moved or merged")


def _perm_of(value: ir.Value | None) -> Perm | None:
    """The order that the Transpose which gives a value has."""
    node = None if value is None else value.producer()
    return ints_attribute(node, "perm") or None if is_op(node, "Transpose") and node is not None else None


def _source(value: ir.Value) -> ir.Value:
    node = value.producer()
    assert node is not None and node.inputs[0] is not None
    return node.inputs[0]


def _merge(node: ir.Node) -> bool:
    """Transpose(Transpose(x))."""
    value, perm = node.inputs[0], ints_attribute(node, "perm")
    inner = _perm_of(value)
    if inner is None or value is None or not perm:
        return False
    both = tuple(inner[axis] for axis in perm)
    node.replace_input_with(0, _source(value))
    node.attributes["perm"] = ir.AttrInt64s("perm", both)
    if both == tuple(range(len(both))):
        bypass(node)
    return True


def _sink_through(node: ir.Node) -> bool:
    """Operands are transposed alike, or constant."""
    perms = {_perm_of(value) for value in node.inputs if value is not None and array_of(value) is None}
    if len(perms) != 1 or (perm := perms.pop()) is None:
        return False
    constants = {at: array for at, value in enumerate(node.inputs) if (array := array_of(value)) is not None}
    stored = [constant_of(node.inputs[at]) for at, array in constants.items() if array.size > 1]
    if any(array.ndim > len(perm) for array in constants.values()) or any(isinstance(one, _HELD) for one in stored):
        return False
    inverse = np.argsort(perm)
    for at, value in enumerate(node.inputs):
        if at in constants and constants[at].size > 1:
            full = constants[at].reshape((1,) * (len(perm) - constants[at].ndim) + constants[at].shape)
            set_constant(node, at, np.ascontiguousarray(full.transpose(inverse)), f"{node.name}_constant")
        elif at not in constants and value is not None:
            node.replace_input_with(at, _source(value))
    _transpose_behind(node, perm)
    return True


def _sink_through_concat(node: ir.Node) -> bool:
    perms = {_perm_of(value) for value in node.inputs}
    if len(perms) != 1 or (perm := perms.pop()) is None:
        return False
    axis = int_attribute(node, "axis", 0)
    node.attributes["axis"] = ir.AttrInt64("axis", perm[axis])
    for at, value in enumerate(node.inputs):
        assert value is not None
        node.replace_input_with(at, _source(value))
    _transpose_behind(node, perm)
    return True


def _sink_through_reduction(node: ir.Node) -> bool:
    """Axes that are constant operands."""
    value, perm = node.inputs[0], _perm_of(node.inputs[0])
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if perm is None or value is None or axes is None or not axes.size:
        return False
    reduced = [perm[int(axis)] for axis in axes]
    node.replace_input_with(0, _source(value))
    set_constant(node, 1, np.array(sorted(reduced), np.int64), f"{node.name}_axes")
    if int_attribute(node, "keepdims", 1):
        _transpose_behind(node, perm)
        return True
    left = [axis for axis in perm if axis not in reduced]
    order = tuple(sorted(left).index(axis) for axis in left)
    if order != tuple(range(len(order))):
        _transpose_behind(node, order)
    return True


def _transpose_behind(node: ir.Node, perm: Perm) -> None:
    """A Transpose that gives what the node gave, under its name; what the node gives now has another."""
    result, graph = node.outputs[0], graph_of(node)
    name, shape = result.name, result.shape
    behind = ir.Node("", "Transpose", [result], [ir.AttrInt64s("perm", perm)], num_outputs=1, name=f"{node.name}_order")
    graph.insert_after(node, behind)
    given = behind.outputs[0]
    given.type = result.type
    users = [(use.node, use.idx) for use in result.uses() if use.node is not behind]
    for user, at in users:
        user.replace_input_with(at, given)
    for at, output in enumerate(graph.outputs):
        if output is result:
            graph.outputs[at] = given
    result.name, given.name = f"{name}_before_order", name
    given.shape = shape
    result.shape = None if shape is None else ir.Shape([shape[i] for i in np.argsort(perm)])
