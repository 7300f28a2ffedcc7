"""Programs that are not whole: a drawn one with something changed that its file, or its caller, got wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from bench.random_programs import random_program
from bitwright.errors import BitwrightError
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Activation, Operator, Options, Padding
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Tensor

#: What sizes, axes, indices and attributes are overwritten with.
NUMBERS = (-(2**63), -(2**31), -7, -2, -1, 0, 1, 2, 3, 6, 17, 255, 65537, 2**20, 2**31 - 1, 2**31, 2**40, 2**62)
_SCALES = (np.nan, np.inf, -np.inf, 0.0, -0.5, 1e-45, 3e38)
_POINTS = (-(2**31), 2**31 - 1, -129, 128, 256, 40000)


def damaged_program(seed: int) -> Program:
    """A drawn Program with one to three changes; its shapes fit each other again, every second time.

    Raises:
        BitwrightError: of parameters that nobody can make.
    """
    rng = random.Random(seed)
    program = random_program(seed)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        program = rng.choice(_CHANGES)(program, rng)
    return _settled(program) if rng.random() < 0.5 else program


def _settled(program: Program) -> Program:
    """The same, where each result has the shape that its operator gives."""
    tensors = dict(program.tensors)
    for operator in program.operators:
        try:
            call = replace(program, tensors=tensors, operators=(operator,)).calls[0]
            shapes = DEFINITIONS[operator.kind].infer(call)
        except (BitwrightError, AssertionError, LookupError, ValueError):  # damaged too much for a shape
            continue
        for name, shape in zip(operator.outputs, shapes, strict=False):
            tensors[name] = replace(tensors[name], shape=shape)
    return replace(program, tensors=tensors)


def _with(program: Program, tensor: Tensor, **changes: Any) -> Program:
    return replace(program, tensors={**program.tensors, tensor.name: replace(tensor, **changes)})


def _any_tensor(program: Program, rng: random.Random) -> Tensor:
    return rng.choice(list(program.tensors.values()))


def _operator(program: Program, rng: random.Random, **changes: Callable[[Operator], Any]) -> Program:
    """One operator changed, by field."""
    if not program.operators:
        return program
    operators, at = list(program.operators), rng.randrange(len(program.operators))
    made = {name: change(operators[at]) for name, change in changes.items()}
    operators[at] = replace(operators[at], **made)
    return replace(program, operators=tuple(operators))


def _shape(program: Program, rng: random.Random) -> Program:
    tensor = _any_tensor(program, rng)
    shape, kind = list(tensor.shape), rng.choice(["size", "near", "drop", "add"])
    if not shape or kind == "add":
        shape.insert(rng.randint(0, len(shape)), rng.choice([1, 2, 0]))
    elif kind == "drop":
        del shape[rng.randrange(len(shape))]
    else:
        at = rng.randrange(len(shape))
        shape[at] = rng.choice(NUMBERS) if kind == "size" else shape[at] + rng.choice([-1, 1])
    return _with(program, tensor, shape=tuple(shape))


def _long_shape(program: Program, rng: random.Random) -> Program:
    """An input, and with it all that is computed from it, of very many elements."""
    names = [port.tensor for port in program.inputs if port.tensor in program.tensors]
    if not names:
        return program
    tensor = program.tensors[rng.choice(names)]
    shape = list(tensor.shape) or [1]
    shape[rng.randrange(len(shape))] = rng.choice([2**24, 2**31 - 1, 2**31, 2**33, 2**40, 2**61, 2**64])
    return _settled(_with(program, tensor, shape=tuple(shape)))


def _dtype(program: Program, rng: random.Random) -> Program:
    return _with(program, _any_tensor(program, rng), dtype=rng.choice([*DTYPES, "i7", ""]))


def _parameters(program: Program, rng: random.Random) -> Program:
    """Gone, of another type, along an axis, or made of numbers that are none."""
    found = [tensor for tensor in program.tensors.values() if tensor.qparams is not None]
    if not found:
        return program
    tensor = rng.choice(found)
    qparams, kind = tensor.qparams, rng.choice(["none", "scale", "point", "axis", "storage"])
    assert qparams is not None
    if kind == "none":
        return _with(program, tensor, qparams=None)
    scale, point, axis, storage = qparams.scale.copy(), qparams.zero_point.copy(), qparams.axis, qparams.storage
    if kind == "scale":
        scale[rng.randrange(scale.size)] = rng.choice(_SCALES)
    elif kind == "point":
        point[rng.randrange(point.size)] = rng.choice(_POINTS)
    elif kind == "axis":
        axis = rng.randint(0, max(len(tensor.shape) - 1, 0))
        count = tensor.shape[axis] if tensor.shape and 0 < tensor.shape[axis] < 9999 else 2
        scale, point = np.full(count, 0.1, np.float32), np.full(count, point[:1] if point.size else 0, np.int32)
    else:
        storage = rng.choice(list(STORAGES))
    return _with(program, tensor, qparams=QuantParams(scale, point, storage, axis))


def _constant(program: Program, rng: random.Random) -> Program:
    """Another type, shape or order of bytes than declared; gone; or a number out of range."""
    found = [tensor for tensor in program.tensors.values() if tensor.data is not None]
    if not found:
        return program
    tensor = rng.choice(found)
    data, kind = tensor.data, rng.choice(["number", "number", "number", "dtype", "shape", "swapped", "gaps", "none"])
    assert data is not None
    if kind == "number" and data.size:
        data = data.copy()
        with np.errstate(over="ignore"):
            number = np.array(rng.choice(NUMBERS)).astype(data.dtype)
        data[np.unravel_index(rng.randrange(data.size), data.shape)] = number
    elif kind == "dtype":
        data = data.astype(rng.choice([np.int8, np.int64, np.float32, np.float64, np.uint8]))
    elif kind == "shape":
        data = data.reshape(-1)[: rng.randint(0, data.size)]
    elif kind == "swapped":
        data = data.astype(data.dtype.newbyteorder())
    elif kind == "gaps" and data.ndim:
        data = np.repeat(data, 2, axis=-1)[..., ::2]
    elif kind == "none":
        data = None
    return _with(program, tensor, data=data)


def _state(program: Program, rng: random.Random) -> Program:
    return _with(program, _any_tensor(program, rng), variable=True)


def _operands(program: Program, rng: random.Random) -> Program:
    def changed(operator: Operator) -> tuple[str | None, ...]:
        names: list[str | None] = list(operator.inputs)
        kind = rng.choice(["drop", "none", "other", "other", "unknown", "more", "swap"])
        if not names or kind == "more":
            names.append(rng.choice(list(program.tensors)))
        elif kind == "drop":
            del names[rng.randrange(len(names))]
        elif kind == "swap":
            rng.shuffle(names)
        else:
            other = rng.choice(list(program.tensors)) if kind == "other" else "nowhere"
            names[rng.randrange(len(names))] = None if kind == "none" else other
        return tuple(names)

    return _operator(program, rng, inputs=changed)


def _results(program: Program, rng: random.Random) -> Program:
    def changed(operator: Operator) -> tuple[str, ...]:
        names = list(operator.outputs)
        kind = rng.choice(["drop", "other", "unknown", "more", "twice"])
        if not names or kind == "more":
            names.append(rng.choice(list(program.tensors)))
        elif kind == "drop":
            names.pop()
        elif kind == "twice":
            names.append(names[0])
        else:
            names[-1] = rng.choice(list(program.tensors)) if kind == "other" else "nowhere"
        return tuple(names)

    return _operator(program, rng, outputs=changed)


def _options(program: Program, rng: random.Random) -> Program:
    def changed(operator: Operator) -> Options:
        options = operator.options
        if rng.random() < 0.1 or not fields(options):
            return DEFINITIONS[rng.choice(list(DEFINITIONS))].options()
        name = rng.choice(fields(options)).name
        held: Any = getattr(options, name)
        value: Any = rng.choice(NUMBERS)
        if isinstance(held, Padding):
            value = rng.choice(list(Padding))
        elif isinstance(held, Activation):
            value = rng.choice(list(Activation))
        elif isinstance(held, bool):
            value = not held
        elif isinstance(held, float):
            value = rng.choice([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-40, 3e38])
        elif isinstance(held, str):
            value = rng.choice([*DTYPES, "nothing"])
        elif isinstance(held, tuple):
            value = tuple(rng.choice(NUMBERS) for _ in range(rng.randint(0, 4)))
        return replace(options, **{name: value})

    return _operator(program, rng, options=changed)


def _kind(program: Program, rng: random.Random) -> Program:
    """Another operator on the same operands, mostly with options of its own."""
    kind = rng.choice([*DEFINITIONS, "NOTHING"])
    if rng.random() < 0.2 or kind not in DEFINITIONS:
        return _operator(program, rng, kind=lambda _: kind)
    return _operator(program, rng, kind=lambda _: kind, options=lambda _: DEFINITIONS[kind].options())


def _order(program: Program, rng: random.Random) -> Program:
    operators = list(program.operators)
    if len(operators) < 2 or rng.random() < 0.5:
        rng.shuffle(operators)
    else:
        del operators[rng.randrange(len(operators))]
    return replace(program, operators=tuple(operators))


def _missing(program: Program, rng: random.Random) -> Program:
    gone = rng.choice(list(program.tensors))
    return replace(program, tensors={name: tensor for name, tensor in program.tensors.items() if name != gone})


def _ports(program: Program, rng: random.Random) -> Program:
    side = rng.choice(["inputs", "outputs"])
    ports = list(getattr(program, side))
    kind = rng.choice(["drop", "unknown", "twice", "other", "same name"])
    if not ports or kind == "other":
        name = rng.choice(list(program.tensors))
        ports.append(Port(f"{name} again", name))
    elif kind == "drop":
        ports.pop()
    elif kind == "unknown":
        ports[-1] = Port("p", "nowhere")
    elif kind == "twice":
        ports.append(Port("p", ports[0].tensor))
    else:
        ports.append(Port(ports[0].name, rng.choice(list(program.tensors))))
    return replace(program, **{side: tuple(ports)})


_CHANGES: tuple[Callable[[Program, random.Random], Program], ...] = (
    *(_shape, _long_shape, _dtype, _parameters, _parameters, _constant, _constant, _state, _operands, _results),
    *(_options, _options, _kind, _order, _missing, _ports),
)
