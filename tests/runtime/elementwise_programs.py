"""Programs of one elementwise operator, for the tests of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Array, Tensor

DRAWN = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)

#: Reals at which conversions and comparisons have their own rules.
SPECIAL = np.float32(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -3.0, 3e9, -3e9, 2.0**31, -(2.0**31), 3e38, 1e-40, 511.5]
)


def tensor(
    name: str,
    shape: Sequence[int],
    dtype: str = "i8",
    scale: float = 0.05,
    zero_point: int = 0,
    data: Array | None = None,
) -> Tensor:
    """A tensor of one scale; reals and plain types have none."""
    qparams = QuantParams(scale, zero_point, dtype) if dtype in ("i8", "u8", "i16") else None
    return Tensor(name, tuple(shape), dtype, qparams, data)


def program_of(kind: str, operands: Sequence[Tensor], result: Tensor, options: Options | None = None) -> Program:
    """One operator; operands with data are constants, all others inputs."""
    operator = Operator(kind, tuple(t.name for t in operands), (result.name,), options or Options())
    inputs = dict.fromkeys(t.name for t in operands if t.data is None)
    return Program(
        {t.name: t for t in (*operands, result)},
        (operator,),
        tuple(Port(name, name) for name in inputs),
        (Port(result.name, result.name),),
    )


def every_integer(dtype: str) -> Array:
    """All values of a type, from the lowest on."""
    bounds = np.iinfo(DTYPES[dtype])
    return np.arange(bounds.min, bounds.max + 1).astype(DTYPES[dtype])


@st.composite
def parameters(draw: Any, dtype: str) -> dict[str, Any]:
    """Scale and zero_point; every second zero_point at a bound."""
    bounds = np.iinfo(DTYPES[dtype])
    ends = st.sampled_from([int(bounds.min), int(bounds.max)])
    point = 0 if dtype == "i16" else draw(ends | st.integers(int(bounds.min), int(bounds.max)))
    return {"scale": float(np.float32(2.0 ** draw(st.floats(-8, 3)))), "zero_point": point}


def reals(shape: Sequence[int], scale: float, seed: int) -> Array:
    """Moderate numbers, ties of multiples of a scale, their neighbours, and special ones."""
    rng = np.random.default_rng(seed)
    moderate = (rng.standard_normal(tuple(shape)) * 40 * scale).astype(np.float32)
    ties = (rng.integers(-300, 300, tuple(shape)) + np.float32(0.5)).astype(np.float32) * np.float32(scale)
    near = np.nextafter(ties, rng.choice(np.float32([-np.inf, np.inf]), tuple(shape)))
    special = rng.choice(SPECIAL, tuple(shape))
    chosen = rng.integers(0, 4, tuple(shape))
    return np.asarray(np.choose(chosen, [moderate, ties, near, special]), dtype=np.float32)
