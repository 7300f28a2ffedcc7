"""Strategies for parameters and values, shared by the tests of the room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bitwright.numerics.qparams import STORAGES, QuantParams


@pytest.fixture
def random_qparams() -> Callable[..., QuantParams]:
    """Parameters drawn from a seed: scales over many octaves, zero points over the whole storage type."""

    def draw(seed: int, storage: str, shape: tuple[int, ...] = (1,), **where: object) -> QuantParams:
        rng = np.random.default_rng(seed)
        kind = STORAGES[storage]
        scale = np.exp2(rng.uniform(-40, 40, shape)).astype(np.float32)
        points = rng.integers(kind.qmin, kind.qmax, shape, endpoint=True)
        return QuantParams(scale, points, storage, **where)  # type: ignore[arg-type]

    return draw
