"""Whole Programs, drawn from a seed: one to twelve operators, and arrays to feed them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.draft import Declined, Draft
from bench.random_operators import DRAWS
from bitwright.program.program import Program
from bitwright.program.tensor import Array

#: How often an operator is drawn anew before the Program ends without it.
_ATTEMPTS = 60


def random_program(seed: int) -> Program:
    """A Program that `verify` takes."""
    draft = Draft(seed)
    draws: tuple[Callable[[Draft], None], ...] = tuple(DRAWS)
    weights = tuple(DRAWS.values())
    wanted, attempts = draft.random.randint(1, 12), 0
    while len(draft.operators) < wanted and (attempts < _ATTEMPTS or not draft.operators):
        mark = draft.mark()
        try:
            draft.random.choices(draws, weights)[0](draft)
            attempts = 0
        except Declined:
            draft.back_to(mark)
            attempts += 1
    return draft.program()


def random_feeds(program: Program, seed: int) -> dict[str, Array]:
    """Arrays for every input, by port name; small indices where an input is i32."""
    draft = Draft(seed)
    feeds = {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        array = draft.array(tensor.shape, tensor.dtype)
        if tensor.dtype == "i32" and draft.chance(0.8):
            array = np.asarray(draft.numbers.integers(0, draft.one_of(1, 2, 20), tensor.shape), np.int32)
        feeds[port.name] = array
    return feeds
