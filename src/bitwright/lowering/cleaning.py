"""Cleaning: what the lowering of single nodes leaves: duplicates, steps that undo each other, what nobody reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor


def cleaned(program: Program) -> Program:
    """The same Program without duplicate constants, repeated operators, round trips and what nobody reads."""
    before = -1
    program = _merged_constants(program)
    while before != len(program.operators):
        before = len(program.operators)
        program = _without_unused(_shortcut(_merged_operators(program)))
    return program


def _renamed(program: Program, names: Mapping[str, str], operators: list[Operator]) -> Program:
    """Operators and outputs reading other tensors."""

    def now(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    return replace(
        program,
        operators=tuple(
            replace(op, inputs=tuple(None if name is None else now(name) for name in op.inputs)) for op in operators
        ),
        outputs=tuple(replace(port, tensor=now(port.tensor)) for port in program.outputs),
    )


def _merged_constants(program: Program) -> Program:
    """One tensor for constants of the same bytes, shape, type and parameters."""
    first: dict[Any, str] = {}
    names: dict[str, str] = {}
    for name, tensor in program.tensors.items():
        if tensor.data is None or tensor.variable:
            continue
        digest = hashlib.sha256(tensor.data.data if tensor.data.size else b"").digest()
        kept = first.setdefault((digest, tensor.shape, tensor.dtype, tensor.qparams), name)
        if kept != name:
            names[name] = kept
    return _renamed(program, names, list(program.operators))


def _ports(program: Program) -> set[str]:
    return {port.tensor for port in (*program.inputs, *program.outputs)}


def _merged_operators(program: Program) -> Program:
    """One operator where several do the same to the same operands."""
    first: dict[Any, Operator] = {}
    names: dict[str, str] = {}
    kept: list[Operator] = []
    ports = _ports(program)
    for op in program.operators:
        inputs = tuple(None if name is None else names.get(name, name) for name in op.inputs)
        op = replace(op, inputs=inputs)
        stateful = any(name is not None and program.tensors[name].variable for name in inputs)
        results = tuple(program.tensors[name] for name in op.outputs)
        key = (op.kind, inputs, repr(op.options), tuple((t.shape, t.dtype, t.qparams) for t in results))
        found = first.setdefault(key, op)
        if found is op or stateful or not ports.isdisjoint(op.outputs):
            kept.append(op)
        else:
            names |= zip(op.outputs, found.outputs, strict=True)
    return _renamed(program, names, kept)


def _shortcut(program: Program) -> Program:
    """Readers past steps that undo each other: the tensor before both is the same."""
    tensors = program.tensors
    maker = {name: op for op in program.operators for name in op.outputs}
    ports = _ports(program)
    names: dict[str, str] = {}
    operators: list[Operator] = []
    for op in program.operators:
        if op.kind == "RESHAPE":
            op = replace(op, inputs=(_unshaped(str(op.inputs[0]), maker), *op.inputs[1:]))
        same = _same_before(op, maker, tensors)
        if same is not None and op.outputs[0] not in ports:
            names[op.outputs[0]] = same
        operators.append(op)
    return _renamed(program, names, operators)


def _unshaped(name: str, maker: Mapping[str, Operator]) -> str:
    """The tensor before all RESHAPEs that lead to one."""
    while name in maker and maker[name].kind == "RESHAPE":
        name = str(maker[name].inputs[0])
    return name


def _same_before(op: Operator, maker: Mapping[str, Operator], tensors: Mapping[str, Tensor]) -> str | None:
    """The tensor that an operator, alone or with the one before it, gives unchanged; None when it changes something."""
    source = op.inputs[0] if op.inputs else None
    if source is None:
        return None
    result = tensors[op.outputs[0]]
    if op.kind in ("QUANTIZE", "RESHAPE") and _alike(tensors[source], result):
        return source
    before = maker.get(source)
    if before is None or before.inputs[0] is None:
        return None
    first = tensors[before.inputs[0]]
    if (op.kind, before.kind) == ("QUANTIZE", "DEQUANTIZE") and _alike(first, result):
        return first.name
    if op.kind == before.kind == "TRANSPOSE" and _alike(first, result):
        one, two = (tensors[str(o.inputs[1])].data for o in (before, op))
        if one is not None and two is not None and (one[two] == range(len(one))).all():
            return first.name
    return None


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype, one.qparams) == (other.shape, other.dtype, other.qparams)


def _without_unused(program: Program) -> Program:
    """Without operators whose results nobody reads, and tensors that nobody uses."""
    needed = {port.tensor for port in program.outputs}
    kept: list[Operator] = []
    for op in reversed(program.operators):
        stateful = any(name is not None and program.tensors[name].variable for name in op.inputs)
        if stateful or not needed.isdisjoint(op.outputs):
            kept.append(op)
            needed.update(name for name in op.inputs if name is not None)
    kept.reverse()
    used = _ports(program) | {n for op in kept for n in (*op.inputs, *op.outputs) if n is not None}
    return replace(
        program,
        operators=tuple(kept),
        tensors={name: tensor for name, tensor in program.tensors.items() if name in used},
    )
