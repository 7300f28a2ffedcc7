"""Do the sides compute what their files say: ours against the numpy references, peers against the float network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.runtimes import Face

SAMPLES = 4
LEAST_SQNR_DB = 6.0  # of int8 with ranges of a few samples: a file that computes something else is below 0


def check(sides: dict[str, tuple[Face, Path]], samples: NDArray[np.float32], ours: str) -> dict[str, dict[str, Any]]:
    """By side `sqnr_db` against the first side, which is float (None: equal); ours also `differing` from the reference.

    A side whose SQNR is too low, or that differs from its reference, has `agrees` False.
    """
    rows = samples[:SAMPLES]
    outputs = {name: [face.run(face.feed(row[None])).copy() for row in rows] for name, (face, _) in sides.items()}
    real = {name: np.stack([sides[name][0].real(made) for made in found]) for name, found in outputs.items()}
    wanted = next(iter(real.values()))
    found: dict[str, dict[str, Any]] = {}
    for name, values in real.items():
        noise = float(np.square(values - wanted).sum())
        decibels = round(10 * math.log10(float(np.square(wanted).sum()) / noise), 1) if noise else None
        found[name] = {"sqnr_db": decibels, "agrees": decibels is None or decibels > LEAST_SQNR_DB}
    if ours in sides:
        face, path = sides[ours]
        differing = sum(
            int(np.count_nonzero(_reference(path, face.feed(row[None])) != made))
            for row, made in zip(rows, outputs[ours], strict=True)
        )
        found[ours] |= {"differing": differing, "agrees": differing == 0}
    return found


def _reference(path: Path, feed: NDArray[Any]) -> NDArray[Any]:
    from bitwright.running import run

    return next(iter(run(path, feed, runtime="reference", rounding="fp32_even").values()))
