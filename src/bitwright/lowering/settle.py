"""Settling: what a quantized file of another tool leaves unsaid or says otherwise, so that its own integers compute.

| in the file | settled as |
|---|---|
| a normalization behind integer weights | scales of the weights, and the bias |
| activations with a scale a channel, between a convolution and depthwise ones | one scale; the rest in the weights |
| QuantizeLinear and DequantizeLinear that are still nodes | parameters of the value before, or of an Identity |
| a result without parameters that only moves values | the parameters of its operand |
| a clamp or a bias behind a node of integers | part of that node |

The integers of weights and activations stay. Only a channel whose scale is too small for its bias is rounded to a
larger one.
"""

from __future__ import annotations

import onnx_ir as ir

from bitwright.graph.constants import HalfTensor, QuantizedTensor, array_of
from bitwright.lowering.channel_scales import join_channel_scales
from bitwright.lowering.weight_scales import fold_behind, held_weight, set_weight, with_room
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import READ, Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value
from bitwright.quantization.quantize_nodes import STORAGE_OF, pair_parameters, parameters_of, storage_of
from bitwright.quantization.rules import Kind, activation_operands, rule_of
from bitwright.transforms.rewiring import only_reader, remove

#: Operators that give elements of their first operand and nothing else, so that its parameters are the result's.
_MOVES = {
    *("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Identity", "Reshape", "Flatten", "Transpose", "Squeeze"),
    *("Unsqueeze", "Slice", "Split", "Gather", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", "Relu"),
}

_REASON = "settled"


def settled(model: ir.Model, plan: Plan | None) -> tuple[ir.Model, Plan | None]:
    """A graph and its plan, settled; as they are where the plan is our own, or nothing is quantized.

    Args:
        model: left as it is.
        plan: of a file.
    """
    if plan is not None and plan.mode != READ:
        return model, plan
    if plan is None and not any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in model.graph):
        return model, None
    work = _Settling(model.clone(), plan or Plan(READ, "onnxruntime"))
    work.fold()
    join_channel_scales(work.graph, work.activations)
    work.follow()
    work.make_room()
    return work.model, work.plan()


class _Settling:
    """A graph on its way: parameters of its activations, and how its nodes compute."""

    def __init__(self, model: ir.Model, plan: Plan) -> None:
        self.model, self.graph, self.given = model, model.graph, plan
        self.activations: dict[str, QuantParams] = {
            t.name: t.qparams for t in plan.tensors.values() if t.role is Role.ACTIVATION and t.qparams is not None
        }
        self.computes = {node.name: node.compute for node in plan.nodes.values()}

    def fold(self) -> None:
        """What stands behind integer weights and multiplies or adds a constant goes into them."""
        kept = set(self.activations)
        for node in list(self.graph):
            if node.graph is not None:
                fold_behind(node, kept)

    def _read_pair(self, node: ir.Node) -> None:
        """A pair that is not read yet: parameters of the value before it, or of an Identity's behind that.

        Of the value itself where a node of integers gives it and nobody else reads it.
        """
        qparams, value = pair_parameters(node), node.inputs[0]
        if value is None:
            return
        if qparams is None:
            self._read_outgoing(node, value)
            return
        if qparams.granularity != "per-tensor":
            return
        readers = list(node.outputs[0].consumers())
        reals = [reader.outputs[0] for reader in readers]
        outputs = [real for real in reals if real.is_graph_output()]
        if len(outputs) > 1:
            return
        name = str((outputs or reals)[0].name)
        if only_reader(value) is node and self._gives_integers(value):
            taken = value
        else:
            same = ir.node("Identity", [value], name=f"{node.name}_Identity")
            self.graph.insert_after(node, same)
            taken = same.outputs[0]
            taken.type, taken.shape = ir.TensorType(ir.DataType.FLOAT), value.shape
            self.computes[str(same.name)] = Compute.INTEGER if value.name in self.activations else Compute.FLOAT
        for real in reals:
            real.replace_all_uses_with(taken, replace_graph_outputs=True)
        remove(*readers, node)
        if taken is not value or outputs:
            taken.name = name
        self.activations[str(taken.name)] = qparams

    def _read_outgoing(self, node: ir.Node, value: ir.Value) -> None:
        """A QuantizeLinear whose integers go on as what they are: parameters of a value of integers before it."""
        qparams = parameters_of(node, storage) if (storage := storage_of(node)) else None
        fits = qparams is not None and qparams.granularity == "per-tensor" and only_reader(value) is node
        if fits and qparams is not None and value.name not in self.activations and self._gives_integers(value):
            self.activations[str(value.name)] = qparams

    def _read_integers(self, node: ir.Node) -> None:
        """A DequantizeLinear of integers that nothing here quantized: parameters of its result."""
        data, result = node.inputs[0], node.outputs[0]
        storage = "" if data is None or data.dtype is None else STORAGE_OF.get(data.dtype, "")
        qparams = parameters_of(node, storage) if storage in ("i8", "u8", "i16") else None
        if qparams is not None and qparams.granularity == "per-tensor":
            self.activations[str(result.name)] = qparams

    def _gives_integers(self, value: ir.Value) -> bool:
        """Whether a node of integers gives a value, or the clamp behind one, which becomes part of it then."""
        node = value.producer()
        if node is None:
            return False
        rule = rule_of(node)
        if rule is not None and rule.kind is Kind.CLAMP and self._hangs_on_integers(node):
            self.computes[str(node.name)] = Compute.INTEGER
        return self.computes.get(str(node.name)) is Compute.INTEGER

    # What follows from the parameters that are there.

    def follow(self) -> None:
        """Which nodes compute on integers, and the parameters of what they only move."""
        for node in list(self.graph):
            rule = rule_of(node)
            if node.op_type == "QuantizeLinear" and node.graph is not None:
                self._read_pair(node)
            elif node.op_type == "DequantizeLinear" and node.graph is not None:
                self._read_integers(node)
            elif rule is None or node.graph is None:
                continue
            elif any(str(v.name) in self.activations for v in activation_operands(node, rule)):
                self.computes[str(node.name)] = Compute.INTEGER
                self._inherit(node)
            elif self._hangs_on_integers(node) and (
                (rule.kind is Kind.CLAMP and node.outputs[0].name in self.activations) or node.op_type == "Add"
            ):
                self.computes[str(node.name)] = Compute.INTEGER

    def _inherit(self, node: ir.Node) -> None:
        data = node.inputs[0]
        found = None if data is None else self.activations.get(str(data.name))
        if node.op_type == "Concat":
            operands = {self.activations.get(str(v.name)) for v in node.inputs if v is not None}
            found = operands.pop() if len(operands) == 1 else None
        elif node.op_type not in _MOVES and not _pads_with_zeros(node):
            return
        if found is None or found.granularity != "per-tensor":
            return
        for value in node.outputs:
            if value.name and value.name not in self.activations:
                self.activations[value.name] = found

    def _hangs_on_integers(self, node: ir.Node) -> bool:
        """Whether a clamp alone reads what a node of integers gives, or a bias what a product of them gives."""
        computed = [value for value in node.inputs if value is not None and array_of(value) is None]
        producer = computed[0].producer() if len(computed) == 1 else None
        if producer is None or only_reader(computed[0]) is not node or computed[0].name in self.activations:
            return False
        if node.op_type == "Add" and producer.op_type != "MatMul":
            return False
        return self.computes.get(str(producer.name)) is Compute.INTEGER

    def make_room(self) -> None:
        """Biases fit the 32 bits of their accumulators."""
        for node in self.graph:
            weight = held_weight(node)
            data = None if not node.inputs or node.inputs[0] is None else self.activations.get(str(node.inputs[0].name))
            if weight is not None and data is not None and data.granularity == "per-tensor":
                made = with_room(node, weight, data)
                if made is not weight:
                    set_weight(node, made)

    def plan(self) -> Plan:
        """The plan of the graph as it is now."""
        values = [*self.graph.inputs, *(value for node in self.graph for value in node.outputs)]
        tensors = [
            TensorPlan(str(v.name), Role.ACTIVATION, self.activations[str(v.name)], _REASON)
            for v in values
            if v.name in self.activations
        ]
        for name, value in self.graph.initializers.items():
            if isinstance(value.const_value, QuantizedTensor):
                qparams = value.const_value.qparams
                role = Role.BIAS if qparams.storage == "i32" else Role.WEIGHT
                tensors.append(TensorPlan(name, role, qparams, _REASON))
            elif isinstance(value.const_value, HalfTensor):
                tensors.append(TensorPlan(name, Role.WEIGHT, None, _REASON))
        nodes = [
            NodePlan(str(n.name), n.op_type, self.computes.get(str(n.name), Compute.FLOAT), _REASON) for n in self.graph
        ]
        mode = "uint8" if _is_asymmetric(tensors) else "int8"
        return make_plan_value(mode, self.given.target, tensors, nodes)


def _is_asymmetric(tensors: list[TensorPlan]) -> bool:
    """Whether weights are uint8 with one scale each and zero_points of their own: TFLite's old form holds them."""
    weights = [t.qparams for t in tensors if t.role is Role.WEIGHT and t.qparams is not None]
    moved = any((q.zero_point != 128).any() for q in weights)
    return moved and all(q.storage == "u8" and q.granularity == "per-tensor" for q in weights)


def _pads_with_zeros(node: ir.Node) -> bool:
    """Whether it is a Pad whose new elements are zeros or copies."""
    if node.op_type != "Pad":
        return False
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    value = array_of(node.inputs[2])
    return value is not None and value.size == 1 and not value.any()
