"""What tests of the engine share: a Program on every instruction set of the machine, against the numpy references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bitwright import _engine
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import DTYPES, Array, Tensor
from bitwright.program.verify import verify
from bitwright.runtime.session import Session

ISAS = ("scalar", "avx2", "avx512vnni", "amx")
#: Those that this machine has.
USABLE_ISAS = ISAS[: ISAS.index(_engine.detected_isa()) + 1]
ROUNDINGS: tuple[Rounding, ...] = ("tflite_double", "tflite_single", "fp32_even")


def random_values(tensor: Tensor, rng: np.random.Generator) -> Array:
    """Any values of a tensor's type: integers of the whole range, moderate floats."""
    dtype = DTYPES[tensor.dtype]
    if dtype.kind == "f":
        return rng.standard_normal(tensor.shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, tensor.shape).astype(dtype)
    bounds = np.iinfo(dtype)
    return rng.integers(bounds.min, bounds.max, tensor.shape, dtype=dtype, endpoint=True)


def assert_equals_reference(
    program: Program,
    *,
    feeds: Mapping[str, Array] | None = None,
    isas: Sequence[str] = USABLE_ISAS,
    roundings: Sequence[Rounding] = ROUNDINGS,
    all_in_engine: bool = True,
    threads: Sequence[int] = (1,),
) -> None:
    """Every output bit for bit, on every instruction set, in every rounding.

    Args:
        program: verified here.
        feeds: inputs by name; random when not given.
        isas: the instruction sets.
        roundings: that accumulators are requantized with.
        all_in_engine: whether no operator may be left to the numpy references.
        threads: how many divide the steps.
    """
    verify(program)
    rng = np.random.default_rng(0)
    given = feeds or {port.name: random_values(program.tensors[port.tensor], rng) for port in program.inputs}
    for rounding in roundings:
        rounded = replace(program, rounding=rounding)
        expected = Reference(rounded).run(given)
        for isa in isas:
            for count in threads:
                session = Session(rounded, isa=isa, threads=count)
                if all_in_engine:
                    assert session.left == {}
                made = session.run(None, given)
                for port, array in zip(program.outputs, made, strict=True):
                    where = f"{port.name}, {isa}, {rounding}, {count} threads"
                    np.testing.assert_array_equal(array, expected[port.name], err_msg=where)
