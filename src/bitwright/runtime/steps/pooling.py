"""Steps of AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from functools import partial

from bitwright.program.definition import Call
from bitwright.program.families.pooling import pool_bounds, pool_sides
from bitwright.program.options import Pool2DOptions
from bitwright.program.tensor import Tensor
from bitwright.program.window import padding_before
from bitwright.runtime.steps.step import MakeSteps, Step, Steps
from bitwright.runtime.steps.storage import is_biased

#: The largest window whose sum of bytes the engine's 32 bits hold.
_MOST_PIXELS = 1 << 23
#: How much less two passes must look at than one, for the image between them is written and read.
_GAIN = 2


def _pool(call: Call, *, mean: bool) -> Steps | str:
    x, y = call.input(0), call.output
    if x.dtype not in ("i8", "u8", "i16"):
        return f"no kernel for {x.dtype}"
    _, h, w, _ = x.shape
    sides = pool_sides(call)
    window, stride = (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1])
    if min(window[0], h) * min(window[1], w) > _MOST_PIXELS:
        return f"windows of {min(window[0], h)} x {min(window[1], w)} pixels overflow 32 bits"
    padding = call.options(Pool2DOptions).padding
    before = (
        padding_before(h, window[0], stride[0], 1, padding)[0],
        padding_before(w, window[1], stride[1], 1, padding)[0],
    )
    bounds, bias = pool_bounds(call), 128 if is_biased(x.dtype) else 0
    stored_bounds = (bounds[0] + bias, bounds[1] + bias)

    def step(source: str, target: str, *sides: int) -> Step:
        """One pass with the window along the given sides of H (0) and W (1)."""

        def along(values: tuple[int, int], other: int) -> tuple[int, int]:
            return (values[0] if 0 in sides else other, values[1] if 1 in sides else other)

        return Step(
            "pool",
            {"x": source, "y": target},
            arguments={
                "is_mean": mean,
                "window": along(window, 1),
                "stride": along(stride, 1),
                "padding": along(before, 0),
                "bias": bias,
                "bounds": stored_bounds,
            },
            strided=frozenset({"x", "y"}),
        )

    _, rows, cols, _ = y.shape
    seen_at_once = rows * cols * min(window[0], h) * min(window[1], w)
    seen_in_turn = rows * w * min(window[0], h) + rows * cols * min(window[1], w)
    if mean or seen_at_once < _GAIN * seen_in_turn:
        return (step(x.name, y.name, 0, 1),)
    # The largest of a window is that of its columns' largest; clamping twice changes nothing.
    between = Tensor(f"{y.name} (columns)", (x.shape[0], rows, w, x.shape[3]), x.dtype, x.qparams)
    first = step(x.name, between.name, 0)
    return (
        Step(first.method, first.tensors, arguments=first.arguments, strided=first.strided, made=(between,)),
        step(between.name, y.name, 1),
    )


STEPS: dict[str, MakeSteps] = {
    "AVERAGE_POOL_2D": partial(_pool, mean=True),
    "MAX_POOL_2D": partial(_pool, mean=False),
}
