"""One drawn Program through the engine and through the numpy references: what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import bitwright as bw
from bench.damaged_programs import damaged_program
from bench.random_programs import random_feeds, random_program
from bitwright.errors import BitwrightError
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import Array
from bitwright.program.verify import verify
from bitwright.runtime.session import Session

#: Programs with more elements than this in one tensor are compiled, and not run.
MOST_RUN = 1 << 22

BOTH_REFUSE = "both refuse the arrays"
#: Outcomes that are as they should be; what is "compiled" is too large to run.
GOOD = ("equal", "refused", BOTH_REFUSE, "both refuse the scales", "compiled")


@dataclass
class Case:
    """What came of one Program.

    Args:
        outcome: one of GOOD, or a finding.
        kinds: of its operators.
        left: the kinds that the engine left to the references.
        detail: of a finding.
        error: the class of the error that a damaged Program was refused with.
    """

    outcome: str
    kinds: Sequence[str] = ()
    left: Sequence[str] = ()
    detail: str = ""
    error: str = ""


def valid_case(seed: int, isas: Sequence[str]) -> Case:
    """A whole Program on every instruction set, with two sets of arrays."""
    program = random_program(seed)
    verify(program)
    threads = 1 + seed % 3
    kinds = [operator.kind for operator in program.operators]
    outcome, left = "equal", []
    expected = [_reference(program, random_feeds(program, seed + 1)) for seed in (seed, seed + 10**9)]
    for isa in isas:
        try:
            session = Session(program, isa=isa, threads=threads)
        except BitwrightError as error:
            if all(isinstance(wanted, BitwrightError) for wanted in expected):
                return Case("both refuse the scales", kinds)
            return Case("the engine alone refuses the scales", kinds, detail=str(error))
        left = [program.operators[index].kind for index in session.operators_left]
        for number, wanted in enumerate(expected):
            feeds = random_feeds(program, seed + number * 10**9 + 1)
            found, detail = _compared(program, session, feeds, wanted)
            if found not in GOOD:
                where = f"{isa}, {threads} threads, {program.rounding}, arrays {number}"
                return Case(found, kinds, left, f"{where}: {detail}")
            outcome = found if number == 0 else outcome
    return Case(outcome, kinds, left)


def damaged_case(seed: int) -> Case:
    """A Program that is not whole: refused with an error of ours, or equal to the references."""
    try:
        program = damaged_program(seed)
        session = bw.compile(program, requantization=None, threads=1 + seed % 3)
    except BitwrightError as error:
        return Case("refused", error=type(error).__name__)
    assert isinstance(session, Session)
    kinds = [operator.kind for operator in program.operators]
    left = [program.operators[index].kind for index in session.operators_left]
    if any(tensor.elements > MOST_RUN for tensor in program.tensors.values()):
        return Case("compiled", kinds, left)
    feeds = random_feeds(program, seed + 1)
    outcome, detail = _compared(program, session, feeds, _reference(program, feeds))
    return Case(outcome, kinds, left, detail)


def _reference(program: Program, feeds: dict[str, Array]) -> list[Array] | BitwrightError:
    try:
        found = Reference(program).run(feeds, [port.tensor for port in program.outputs])
    except BitwrightError as error:
        return error
    return [found[port.tensor] for port in program.outputs]


def _compared(
    program: Program, session: Session, feeds: dict[str, Array], wanted: list[Array] | BitwrightError
) -> tuple[str, str]:
    """(outcome, detail)."""
    try:
        made = session.run(None, feeds)
    except BitwrightError as error:
        if isinstance(wanted, BitwrightError):
            return BOTH_REFUSE, ""
        return "the engine alone refuses the arrays", str(error)
    if isinstance(wanted, BitwrightError):
        return "the reference alone refuses the arrays", str(wanted)
    for port, first, second in zip(program.outputs, wanted, made, strict=True):
        if (first.shape, first.dtype) != (second.shape, second.dtype):
            return "another shape or type", f"{port.name}: {first.dtype}{first.shape}, {second.dtype}{second.shape}"
        if not _same(first, second):
            count = int(np.count_nonzero(first != second))
            return "different", f"{port.name}: {count} of {first.size} elements"
    return "equal", ""


def _same(first: Array, second: Array) -> bool:
    """Bit for bit, but for which NaN it is."""
    if first.dtype.kind == "f":
        lost = np.isnan(first)
        if not np.array_equal(lost, np.isnan(second)):
            return False
        first, second = np.where(lost, first.dtype.type(0), first), np.where(lost, first.dtype.type(0), second)
    return np.ascontiguousarray(first).tobytes() == np.ascontiguousarray(second).tobytes()
