"""Steps of TRANSPOSE_CONV: convolutions, one for each place that a pixel of the result has between the strides.

Along one dimension, result o is the sum over k of x[(o + before - k) / stride] * weights[k], where that divides. Those
at o = first + stride * t have the taps k = remainder + stride * j, where quotient and remainder are those of
(first + before) / stride, and their data is x[t + quotient - j]: a convolution of stride 1 with every stride-th tap, in
reverse.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.program.definition import Call
from bitwright.program.families.convolution import convolution_requantization
from bitwright.program.options import TransposeConvOptions
from bitwright.program.window import padding_before
from bitwright.runtime.steps.convolution import bias_of, constant_reason, conv_step, split_weights, type_reason
from bitwright.runtime.steps.convolution16 import width_reason
from bitwright.runtime.steps.step import Border, MakeSteps, Steps


@dataclass(frozen=True)
class Phase:
    """Results first, first + stride, ... along one dimension, as a convolution of stride 1.

    Args:
        first: below the stride and the count of results.
        taps: indices into the weights, in the order of the data; none where no tap meets these results.
        before: padding before the data; below 0, data that is left out.
        after: padding after it.
    """

    first: int
    taps: tuple[int, ...]
    before: int
    after: int


def phases(data: int, window: int, results: int, stride: int, before: int) -> tuple[Phase, ...]:
    """All phases of one dimension.

    Args:
        data, window, results: sizes.
        stride: of the transposed convolution.
        before: how many results lie before the first, dropped.

    >>> phases(data=4, window=3, results=8, stride=2, before=0)[0]
    Phase(first=0, taps=(2, 0), before=1, after=0)
    """
    found = []
    for first in range(min(stride, results)):
        quotient, remainder = divmod(first + before, stride)
        taps = tuple(range(remainder, window, stride))[::-1]
        count = -(-(results - first) // stride)
        found.append(Phase(first, taps, max(len(taps), 1) - 1 - quotient, count + quotient - data))
    return tuple(found)


def _transpose_conv(call: Call) -> Steps | str:
    options, weights, x = call.options(TransposeConvOptions), call.input(1), call.input(2)
    if reason := type_reason(x, weights) or constant_reason(call, 1, 3):
        return reason
    strides = (options.stride_h, options.stride_w)
    rows, columns = (
        phases(
            x.shape[axis],
            weights.shape[axis],
            size := call.output.shape[axis],
            stride,
            padding_before(size, weights.shape[axis], stride, 1, options.padding)[0],
        )
        for axis, stride in zip((1, 2), strides, strict=True)
    )
    beyond = max(phase.after for phase in (*rows, *columns))
    if beyond > max(weights.shape[1:3]):
        return f"the result is {beyond} pixels larger than the window reaches"
    how, bias = convolution_requantization(call), bias_of(call, 3)
    if reason := width_reason(how, bias):
        return reason
    parts = split_weights(weights)
    return tuple(
        conv_step(
            x,
            call.output,
            _taps(parts, row.taps, column.taps),
            bias,
            how,
            Border(*(max(size, 0) for size in (row.before, row.after, column.before, column.after))),
            stride=(1, 1),
            dilation=(1, 1),
            padding=(row.before, column.before),
            groups=1,
            y_first=(row.first, column.first),
            y_step=strides,
        )
        for row, column in itertools.product(rows, columns)
    )


def _taps(parts: NDArray[np.int8], rows: tuple[int, ...], columns: tuple[int, ...]) -> NDArray[np.int8]:
    """Some taps of weights i8[R,O,KH,KW,C], as a convolution takes them; one of zeros in place of none."""
    taken = parts[:, :, list(rows)][:, :, :, list(columns)]
    if not rows or not columns:
        taken = np.zeros((*parts.shape[:2], max(len(rows), 1), max(len(columns), 1), parts.shape[4]), np.int8)
    return np.ascontiguousarray(taken.swapaxes(0, 1))


STEPS: dict[str, MakeSteps] = {"TRANSPOSE_CONV": _transpose_conv}
