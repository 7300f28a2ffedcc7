"""Ports: the face of a Program: which layout and storage type its inputs and outputs have."""

from __future__ import annotations

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.lowering.context import Form, Lowering
from bitwright.lowering.element_layout import channels_last, placed
from bitwright.lowering.layout import Permutation
from bitwright.lowering.port_types import PORT_NAMES, PORT_TYPES
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import ReshapeOptions
from bitwright.program.program import Port

#: Operators that want channels last; what a value that reaches one is best held in.
_CHANNELS_LAST = {
    *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize"),
    *("DepthToSpace", "SpaceToDepth", "InstanceNormalization", "BatchNormalization"),
}

#: Operators that take any order of dimensions and give the same.
_AGNOSTIC = {
    *("Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu"),
    *("Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Identity", "Dropout", "Cast"),
    *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Pad", "Concat", "Split", "Slice"),
    *("QuantizeLinear", "DequantizeLinear"),
}


def leads_to_channels_last(value: ir.Value) -> bool:
    """Whether the value reaches an operator that wants channels last before one that fixes another order."""
    seen: set[ir.Value] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        for node in current.consumers():
            if node.op_type in _CHANNELS_LAST and node.inputs[0] is current:
                return True
            if node.op_type in _AGNOSTIC:
                waiting += [out for out in node.outputs if out not in seen and _same_rank(out, value)]
                seen.update(node.outputs)
    return False


def _same_rank(one: ir.Value, other: ir.Value) -> bool:
    return one.shape is None or other.shape is None or len(one.shape) == len(other.shape)


def check_type(name: str, asked: str | None) -> str:
    """The storage type behind a user's name for it.

    Raises:
        UsageError: no such type.
    """
    if asked is None:
        return "f32"
    if asked not in PORT_TYPES:
        raise UsageError(f"unknown {name} {asked!r}", next=f"one of {', '.join(PORT_TYPES)}")
    return PORT_TYPES[asked]


def add_inputs(low: Lowering, values: list[ir.Value], storage: str, layouts: dict[str, Permutation]) -> list[Port]:
    """A port for every input, in the layout that its readers want.

    Raises:
        UsageError: integers are asked for, and an input has no parameters for them.
    """
    ports = []
    for value in values:
        name, shape = str(value.name), low.shape(value)
        rank = len(shape)
        perm = channels_last(rank) if rank > 2 and leads_to_channels_last(value) else tuple(range(rank))
        dtype = low.dtype(value)
        qparams = _port_parameters(low, value, storage) if dtype == "f32" and storage != "f32" else None
        stored = [shape[p] for p in perm]
        tensor = low.build.port(name, stored, dtype if qparams is None else qparams.storage, qparams)
        ports.append(Port(name, tensor))
        layout = placed(shape, perm)
        planned = low.planned(value) if qparams is not None else None
        if planned != qparams:
            tensor = low.build.convert(tensor, planned, f"{name}_quantized")
        low.forms[value] = [Form(tensor, layout, planned)]
        if perm != tuple(range(rank)):
            layouts[name] = perm
    return ports


def _port_parameters(low: Lowering, value: ir.Value, storage: str) -> QuantParams:
    """The planned parameters in the storage type that is asked for: exactly, or moved by 128."""
    planned = low.planned(value)
    where = f"port {str(value.name)!r}"
    if planned is None:
        raise UsageError(
            "integers are asked for at a port that the plan keeps float",
            where=where,
            next="leave the type of ports out, or quantize with calibration data",
        )
    shifts = {("i8", "u8"): 128, ("u8", "i8"): -128}
    if planned.storage == storage:
        return planned
    if (planned.storage, storage) not in shifts:
        raise UsageError(
            f"the port holds {PORT_NAMES[planned.storage]}, {PORT_NAMES[storage]} was asked for",
            where=where,
            next=f"ask for {PORT_NAMES[planned.storage]}",
        )
    return QuantParams(planned.scale, planned.zero_point + shifts[planned.storage, storage], storage)


def add_outputs(low: Lowering, values: list[ir.Value], storage: str, layouts: dict[str, Permutation]) -> list[Port]:
    """A port for every output: channels last where it comes out so, else as the graph has it.

    Raises:
        UsageError: integers are asked for, and an output has no parameters for them.
    """
    sources = []
    for value in values:
        name, shape = str(value.name), low.shape(value)
        rank = len(shape)
        planned = qparams = None
        if storage != "f32" and low.dtype(value) == "f32":
            qparams, planned = _port_parameters(low, value, storage), low.planned(value)
        perm = low.perm(value, _held(low, value)) if rank > 2 else tuple(range(rank))
        if perm not in (tuple(range(rank)), channels_last(rank)):
            perm = tuple(range(rank))
        source = low.placed(value, perm, planned)
        if planned != qparams:
            source = low.build.convert(source, qparams, f"{name}_port")
        sources.append(source)
        if perm != tuple(range(rank)):
            layouts[name] = perm
    taken = {str(value.name) for value in low.concrete.model.graph.inputs}
    named: dict[str, str] = {}
    ports = []
    for value, source in zip(values, sources, strict=True):
        name = str(value.name)
        now = named.get(source, source)
        named[source] = tensor = _own_tensor(low, now, name, now in taken)
        taken.add(tensor)
        ports.append(Port(name, tensor))
    return ports


def _held(low: Lowering, value: ir.Value) -> QuantParams | None:
    forms = low.forms.get(value)
    return forms[0].qparams if forms else None


def _own_tensor(low: Lowering, source: str, name: str, is_port: bool) -> str:
    """The tensor under the port's name: renamed, or copied where it is a port already or a constant."""
    held = low.build.tensors[source]
    if not is_port and held.data is None:
        return source if source == name else low.build.renamed(source, name)
    low.build.release(name)
    copy = low.build.tensor(name, held.shape, held.dtype, held.qparams)
    shape = low.build.integers(f"{name}_shape", held.shape)
    low.build.emit("RESHAPE", [source, shape], [copy], ReshapeOptions(new_shape=held.shape))
    return copy
