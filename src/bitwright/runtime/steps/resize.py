"""Steps of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import numpy as np

from bitwright.program.definition import Call
from bitwright.program.families.resize import Taps, bilinear_taps, nearest_pixels
from bitwright.runtime.steps.moving import positions, storage_reason, take
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import is_biased


def _nearest(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    if reason := storage_reason(x):
        return reason
    rows, columns = nearest_pixels(call)
    return (take(x, y, [positions(x.shape[0]), rows, columns, positions(x.shape[3])]),)


def _bilinear(call: Call) -> Steps | str:
    x, y = call.input(0), call.output
    how = bilinear_taps(call)
    for taps, size in zip((how.rows, how.columns), x.shape[1:3], strict=True):
        if max(taps.before.max(), taps.after.max()) >= size:
            return "rounded positions leave the image"
    return (
        Step(
            "bilinear",
            {"x": x.name, "y": y.name},
            arguments={
                "rows": _axis(how.rows, how.bits),
                "columns": _axis(how.columns, how.bits),
                "bits": how.bits,
                "away": how.away,
                "bias": 128 if is_biased(x.dtype) else 0,
            },
            strided=frozenset({"x", "y"}),
            exact=frozenset({"x"}),
        ),
    )


def _axis(taps: Taps, bits: int) -> tuple[list[int], list[int], list[int], list[float]]:
    """(before, after, weights of integers, weights of floats)."""
    weights: list[float] = np.asarray(taps.weight).tolist()
    integers = [int(weight) for weight in weights] if bits else []
    return taps.before.tolist(), taps.after.tolist(), integers, [] if bits else weights


STEPS: dict[str, MakeSteps] = {"RESIZE_BILINEAR": _bilinear, "RESIZE_NEAREST_NEIGHBOR": _nearest}
