"""Pools: MAX_POOL_2D, AVERAGE_POOL_2D, and over everything MEAN and REDUCE_MAX."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.context import Array
from bitwright.lowering.element_layout import Layout, channels_last, placed, with_channels
from bitwright.lowering.lowerings.convolution import as_two_dimensional, channels_last_data
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.lowering.windows import Window, pad_for, padding_of, windows_of
from bitwright.program.operator import Activation, Padding
from bitwright.program.options import MulOptions, Pool2DOptions, ReducerOptions


def _windows(step: Step) -> list[Window]:
    shape, out_shape = step.shape(step.value(0)), step.shape(step.output)
    if not 3 <= len(shape) <= 4:
        raise Refusal(f"pools over {len(shape) - 2} dimensions, the kernels over one or two")
    windows = windows_of(step, shape[2:], step.numbers("kernel_shape"), out_shape[2:])
    if any(window.dilation != 1 for window in windows):
        raise Refusal("pools with dilations, which the kernels do not have")
    return windows


def _pool(
    step: Step,
    kind: str,
    tensor: str,
    windows: list[Window],
    padding: Padding,
    activation: Activation,
    result: str,
) -> None:
    vertical, horizontal = windows
    options = Pool2DOptions(
        padding=padding,
        stride_w=horizontal.stride,
        stride_h=vertical.stride,
        filter_width=horizontal.kernel,
        filter_height=vertical.kernel,
        fused_activation_function=activation,
    )
    step.build.emit(kind, [tensor], [result], options)


def _layout(step: Step, kernel: Kernel, channels: Layout) -> Layout:
    shape = step.shape(kernel.value)
    return placed(shape, channels_last(len(shape))) if channels.is_row_major else with_channels(shape, channels)


def _result_shape(step: Step, kernel: Kernel, windows: list[Window]) -> tuple[int, ...]:
    shape = step.shape(kernel.value)
    return (shape[0], windows[0].results, windows[1].results, shape[1])


def lower_max_pool(step: Step) -> None:
    if len([v for v in step.node.outputs if v.name]) > 1:
        raise Refusal("its indices are wanted")
    windows, data = _windows(step), step.value(0)
    kernel = step.kernel([data], fuses=True)
    q = kernel.q(data)
    tensor, channels = channels_last_data(step, data, q, any_order=True)
    tensor, windows = as_two_dimensional(step, tensor, windows)
    padding = padding_of(windows)
    if padding is None:
        tensor, padding = pad_for(step, tensor, windows, lowest=True), Padding.VALID
    result = step.result(kernel, _result_shape(step, kernel, windows), q)
    _pool(step, "MAX_POOL_2D", tensor, windows, padding, kernel.activation, result)
    step.give(kernel, result, _layout(step, kernel, channels))


def lower_average_pool(step: Step) -> None:
    windows, data = _windows(step), step.value(0)
    counts_border = bool(step.number("count_include_pad", 0))
    correction = _correction(windows, counts_border)
    native = correction is None and (padding_of(windows) is Padding.VALID or counts_border)
    same = padding_of(windows) is Padding.SAME and not counts_border
    kernel = step.kernel([data], fuses=True, integer=("i8", "u8", "i16") if native or same else ())
    q = kernel.q(data)
    tensor, channels = channels_last_data(step, data, q, any_order=True)
    tensor, windows = as_two_dimensional(step, tensor, windows)
    padding = padding_of(windows)
    if same:
        correction, padding = None, Padding.SAME
    elif padding is not Padding.VALID:
        tensor, padding = pad_for(step, tensor, windows), Padding.VALID
    shape = _result_shape(step, kernel, windows)
    if correction is None:
        result = step.result(kernel, shape, q)
        _pool(step, "AVERAGE_POOL_2D", tensor, windows, padding, kernel.activation, result)
    else:
        mean = step.build.tensor(f"{step.name}_mean", shape)
        _pool(step, "AVERAGE_POOL_2D", tensor, windows, padding, Activation.NONE, mean)
        result = step.result(kernel, shape)
        factor = step.build.constant(f"{step.name}_correction", correction, "f32")
        step.build.emit("MUL", [mean, factor], [result], MulOptions(fused_activation_function=kernel.activation))
    step.give(kernel, result, _layout(step, kernel, channels))


def _correction(windows: list[Window], counts_border: bool) -> Array | None:
    """What a mean over whole windows is multiplied by, [1, H, W, 1]; None where that is one everywhere.

    A window counts the elements that lie in the data, or in the data and its border.
    """
    counts = []
    for window in windows:
        start = np.arange(window.results) * window.stride - window.before
        low, high = (-window.before, window.size + window.after) if counts_border else (0, window.size)
        counts.append(np.minimum(start + window.kernel, high) - np.maximum(start, low))
    if len(counts) == 1:
        counts, sizes = [np.ones(1), counts[0]], [1, windows[0].kernel]
    else:
        sizes = [window.kernel for window in windows]
    factor = (sizes[0] / counts[0])[:, None] * (sizes[1] / counts[1])[None, :]
    return None if (factor == 1).all() else factor[None, :, :, None].astype(np.float32)


def _over_everything(step: Step, kind: str) -> None:
    data = step.value(0)
    kernel = step.kernel([data])
    q = kernel.q(data)
    tensor, channels = channels_last_data(step, data, q, any_order=True)
    shape = step.build.shape(tensor)
    axes = list(range(1, len(shape) - 1))
    result_shape = (shape[0], *(1 for _ in axes), shape[-1])
    result = step.result(kernel, result_shape, None if kind == "MEAN" else q)
    inputs = [tensor, step.build.integers(f"{step.name}_axes", axes)]
    step.build.emit(kind, inputs, [result], ReducerOptions(keep_dims=True))
    step.give(kernel, result, _layout(step, kernel, channels))


LOWERINGS = {
    "MaxPool": lower_max_pool,
    "AveragePool": lower_average_pool,
    "GlobalAveragePool": lambda step: _over_everything(step, "MEAN"),
    "GlobalMaxPool": lambda step: _over_everything(step, "REDUCE_MAX"),
}
