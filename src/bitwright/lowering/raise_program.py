"""raise: Program -> Graph + Plan, so that a .tflite goes through the same transforms, calibration and planning as
everything else.

The graph is in ONNX vocabulary and float meaning. Its inputs and outputs are the file's: names of the ports, shapes,
order of dimensions. Inside, values lie as ONNX's operators want them: each tensor is held by a value and the order of
its dimensions (`raisings.order`), so that one Transpose at the border is mostly all there is.

What is quantized in the file is so in the plan, its integers unchanged: constants are QuantizedTensors, activations
have their parameters, QUANTIZE and DEQUANTIZE are gone (`raisings.types` says which of them stay, as Identity nodes).
A value before a fused activation has no parameters, as the planner spells it. What the ports of the file hold is in
the metadata, see PORTS.

State starts at zero at each run of the graph: ONNX keeps none. What nodes remember of their operators is in their
metadata, see `provenance`.
"""

from __future__ import annotations

import json
from collections import Counter

import onnx_ir as ir

from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.lowering.layout import LAYOUT
from bitwright.lowering.port_types import PORT_NAMES, PORTS
from bitwright.lowering.raisings.builder import Builder, Held, stands_for_reals, type_of
from bitwright.lowering.raisings.order import as_stored
from bitwright.lowering.raisings.registry import RAISINGS
from bitwright.lowering.raisings.step import Step
from bitwright.program.operands import parameters_reason
from bitwright.program.program import Program
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value

#: The operator set the graph is written in, and the container that brought it.
OPSET = 21
IR_VERSION = 10

_MODES = {"i8": "int8", "u8": "uint8", "i16": "int16x8"}
_READ = "read from a file"

#: Operators whose kernels move integers whatever their parameters are, which a graph of float meaning cannot say.
_MOVES = frozenset({"DEPTH_TO_SPACE", "GATHER", "GATHER_ND", "SLICE", "SPACE_TO_DEPTH", "STRIDED_SLICE"})


def raise_program(program: Program) -> tuple[ir.Model, Plan | None]:
    """Graph and Plan of a Program.

    Args:
        program: verified.

    Returns:
        The graph in float meaning, every node named, and its plan; None when nothing is quantized.

    Raises:
        UnsupportedOpError: operators that have no counterpart in ONNX: all of them, each with its reason.
    """
    builder = Builder(program)
    inputs = _add_inputs(builder)
    _raise_operators(builder)
    outputs = _find_outputs(builder)
    for node in builder.nodes:
        node.name = node.outputs[0].name
    used = [v for v in builder.initializers if v.uses() or any(v is output for output in outputs)]
    graph = ir.Graph(
        inputs, outputs, nodes=builder.nodes, initializers=used, opset_imports={"": OPSET}, name=program.name or "main"
    )
    model = ir.Model(graph, ir_version=IR_VERSION, producer_name="bitwright")
    if ports := _integer_ports(program):
        model.metadata_props[PORTS] = ports
    if LAYOUT in program.metadata:
        model.metadata_props[LAYOUT] = program.metadata[LAYOUT].decode("utf-8", "replace")
    return model, _plan(builder, inputs)


def _add_inputs(builder: Builder) -> list[ir.Value]:
    values = []
    for port in builder.program.inputs:
        tensor = builder.program.tensors[port.tensor]
        value = ir.val(port.name, dtype=type_of(tensor), shape=tensor.shape)
        builder.held[tensor.name] = Held(tensor.shape, {as_stored(len(tensor.shape)): value})
        if stands_for_reals(tensor) and tensor.qparams is not None:
            builder.qparams[value] = tensor.qparams
        values.append(value)
    return values


def _raise_operators(builder: Builder) -> None:
    refused: dict[str, list[str]] = {}
    for operator in builder.program.operators:
        step = Step(builder, operator)
        try:
            _raise(step)
        except UnsupportedOpError as error:
            refused.setdefault(f"{operator.kind}: {error.what}", []).append(operator.outputs[0])
            for tensor in step.outputs:  # so that what follows can be looked at as well
                value = ir.val(None, dtype=ir.DataType.FLOAT, shape=tensor.shape)
                builder.held[tensor.name] = Held(tensor.shape, {as_stored(len(tensor.shape)): value})
    if refused:
        listed = "\n           ".join(
            f"{reason} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for reason, names in refused.items()
        )
        raise UnsupportedOpError(
            f"operators that have no counterpart in ONNX: {listed}",
            next="such a model can be run and inspected, but not transformed, quantized or converted",
        )


def _raise(step: Step) -> None:
    kind = step.operator.kind
    if kind not in RAISINGS:
        raise UnsupportedOpError("nothing in ONNX is known to do the same")
    if kind in _MOVES and (told := parameters_reason(step.input(0), step.output)):
        raise UnsupportedOpError(told)
    RAISINGS[kind](step)
    step.settle()


def _find_outputs(builder: Builder) -> list[ir.Value]:
    """The graph's outputs: values as stored, under the names of the ports.

    A file may give an input and an output one name, a graph not: the output has a suffix then.
    """
    found: list[ir.Value] = []
    for port in builder.program.outputs:
        value = builder.value_of(port.tensor)
        producer = value.producer()
        if producer is None or any(value is other for other in found):
            assert value.dtype is not None and value.shape is not None
            shape = tuple(value.shape.numpy())
            node = builder.add("Identity", [value], [(builder.free_name(port.name), value.dtype, shape)])
            builder.moves(node, value, integer=stands_for_reals(builder.program.tensors[port.tensor]))
            value = node.outputs[0]
        taken = any(port.name == other.name for other in builder.program.inputs)
        value.name = builder.free_name(f"{port.name}_output") if taken else port.name
        found.append(value)
    return found


def _integer_ports(program: Program) -> str:
    """The metadata that PORTS describes, "" when no port holds integers that stand for reals."""
    sides = {
        side: {
            port.name: PORT_NAMES[tensor.dtype]
            for port in ports
            if stands_for_reals(tensor := program.tensors[port.tensor]) and tensor.dtype in PORT_NAMES
        }
        for side, ports in (("inputs", program.inputs), ("outputs", program.outputs))
    }
    return json.dumps(sides) if any(sides.values()) else ""


def _plan(builder: Builder, inputs: list[ir.Value]) -> Plan | None:
    """What the file decided; None when nothing in it is quantized."""
    values = [*inputs, *(value for node in builder.nodes for value in node.outputs)]
    tensors = [
        TensorPlan(str(v.name), Role.ACTIVATION, builder.qparams[v], _READ) for v in values if v in builder.qparams
    ]
    for value in builder.initializers:
        held = value.const_value
        if not value.uses():
            continue
        if isinstance(held, QuantizedTensor):
            role = Role.BIAS if held.qparams.storage in ("i32", "i64") else Role.WEIGHT
            tensors.append(TensorPlan(str(value.name), role, held.qparams, _READ))
        elif isinstance(held, HalfTensor):
            tensors.append(TensorPlan(str(value.name), Role.WEIGHT, None, _READ))
    if not tensors:
        return None
    computes = [builder.computes.get(node, Compute.FLOAT) for node in builder.nodes]
    nodes = [
        NodePlan(str(node.name), node.op_type, compute) for node, compute in zip(builder.nodes, computes, strict=True)
    ]
    return make_plan_value(_mode(tensors, computes), "litert", tensors, nodes)


def _mode(tensors: list[TensorPlan], computes: list[Compute]) -> str:
    """What the file would have been asked for: by most of its activations, else by how its nodes use their weights."""
    storages = Counter(t.qparams.storage for t in tensors if t.role is Role.ACTIVATION and t.qparams is not None)
    if storages:
        return _MODES.get(storages.most_common(1)[0][0], "int8")
    return next(str(kind) for kind in (Compute.DYNAMIC, Compute.WEIGHT_ONLY, Compute.FLOAT16) if kind in computes)
