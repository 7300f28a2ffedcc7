"""Shape rules on operands that a damaged file may hand them: an answer or a reason, at once."""

from __future__ import annotations

import random
import time
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from bitwright.errors import BitwrightError
from bitwright.numerics.qparams import STORAGES, QuantParams
from bitwright.program.operator import Operator
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Tensor
from bitwright.program.text import to_text
from bitwright.program.verify import verify


def _random_program(kind: str, rng: random.Random) -> Program:
    """One operator on operands of any type and shape, with any options."""
    definition = DEFINITIONS[kind]
    fewest, most = definition.inputs
    count = rng.choice([fewest, fewest if most is None else most, rng.randrange(1, 5)])
    results = rng.choice([1, 1, 1, 2, 3])
    tensors = [_random_tensor(f"t{index}", rng, constant=0 < index < count) for index in range(count + results)]
    if rng.random() < 0.5:  # alike: what most operators take
        like = tensors[0]
        tensors = [t if t.data is not None else replace(like, name=t.name, data=None) for t in tensors]
    options = {field.name: _random_value(field.default, rng) for field in fields(definition.options)}
    operator = Operator(
        kind,
        tuple(None if index and rng.random() < 0.05 else f"t{index}" for index in range(count)),
        tuple(f"t{count + index}" for index in range(results)),
        definition.options(**options),
    )
    inputs = tuple(Port(t.name, t.name) for t in tensors[:count] if t.data is None)
    return Program({t.name: t for t in tensors}, (operator,), inputs, ())


def _random_tensor(name: str, rng: random.Random, *, constant: bool) -> Tensor:
    rank = rng.choice([0, 1, 2, 3, 4, 4, 4, 5, 6])
    sizes = [0, 1, 1, 2, 2, 3, 4, 8] if constant else [0, 1, 1, 2, 2, 3, 4, 8, 1 << 16, (1 << 31) - 1]
    shape = tuple(rng.choice(sizes) for _ in range(rank))
    dtype = rng.choice(["f32", "f32", "i32", "i32", "i8", "u8", "i16", "i64", "bool", "f16", "i4"])
    qparams = None
    if dtype in STORAGES and rng.random() < 0.5:
        axis = rng.choice([None, *range(rank)])
        scales = 1 if axis is None else shape[axis]
        if 0 < scales < 100:
            qparams = QuantParams(np.full(scales, 0.5), 0, dtype, axis)
    data = None
    if constant and rng.random() < 0.7 and np.prod(shape) < 10_000:
        draw = np.random.default_rng(rng.randrange(1 << 30))
        extreme = rng.choice([2, 5, 100])
        data = draw.integers(-extreme if dtype[0] != "u" and dtype != "bool" else 0, extreme, shape).astype(
            DTYPES[dtype]
        )
        if dtype in ("i32", "i64") and data.size and rng.random() < 0.2:
            data.reshape(-1)[0] = rng.choice([-(1 << 31), (1 << 31) - 1])
    return Tensor(name, shape, dtype, qparams, data)


def _random_value(default: Any, rng: random.Random) -> Any:
    if isinstance(default, StrEnum):
        return rng.choice(list(type(default)))
    if isinstance(default, str):
        return rng.choice(list(DTYPES))
    if isinstance(default, tuple):
        return tuple(rng.choice([-1, 0, 1, 2, 4, 1 << 30]) for _ in range(rng.randrange(5)))
    if isinstance(default, bool):
        return rng.random() < 0.5
    if isinstance(default, float):
        return rng.choice([0.0, 1.0, -1.0, float("nan"), float("inf")])
    return rng.choice([-(1 << 31), -1, 0, 0, 1, 1, 1, 2, 3, 5, (1 << 31) - 1])


@pytest.mark.parametrize("kind", sorted(DEFINITIONS))
def test_any_operands_are_verified_or_refused(kind: str) -> None:
    """What a damaged file may ask of a shape rule: an answer or a reason, at once and without the memory."""
    rng = random.Random(kind)
    for _ in range(300):
        program = _random_program(kind, rng)
        start = time.perf_counter()
        try:
            verify(program)
        except BitwrightError as error:
            assert error.next, error.what
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} for\n{to_text(program)}") from error
        assert time.perf_counter() - start < 0.5, to_text(program)
