"""Conv: CONV_2D, DEPTHWISE_CONV_2D. One dimension is two with a height of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from bitwright.lowering.context import Array
from bitwright.lowering.element_layout import Layout, channel_layout, channels_last, placed, row_major, with_channels
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.lowering.weights import bias_tensor, constant_bias, refuse_weights, weight_tensor
from bitwright.lowering.windows import Window, pad_for, padding_of, pads_merged, windows_of
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Padding
from bitwright.program.options import Conv2DOptions, DepthwiseConv2DOptions

#: A dimension that is not there.
FLAT = Window(1, 1, 1, 1, 0, 0, 1)


def channels_last_data(
    step: Step, value: ir.Value, qparams: QuantParams | None, *, any_order: bool
) -> tuple[str, Layout]:
    """A value with its channels last, and the order they are in.

    Args:
        value: N, C, spatial dimensions.
        any_order: whether channels may come in the order that they are stored in.
    """
    shape = step.shape(value)
    stored = [shape[p] for p in channels_last(len(shape))]
    if step.low.constant(value) is None and any_order:
        layout = step.low.nearest(value, qparams).layout
        channels = channel_layout(layout, shape)
        if channels is not None and not channels.is_row_major:
            return step.low.laid(value, layout, stored, qparams), channels
    return step.low.placed(value, channels_last(len(shape)), qparams), row_major((shape[1],))


def as_two_dimensional(step: Step, tensor: str, windows: list[Window]) -> tuple[str, list[Window]]:
    """One spatial dimension as two: [N, W, C] with a height of one."""
    if len(windows) == 2:
        return tensor, windows
    shape = step.build.shape(tensor)
    return step.build.reshaped(tensor, (shape[0], 1, *shape[1:]), f"{step.name}_row"), [FLAT, *windows]


def order_of(channels: Layout, count: int) -> Array | None:
    """For every stored channel, which one it is; None when they lie as usual."""
    return None if channels.is_row_major else channels.arranged(np.arange(count))


def lower_conv(step: Step) -> None:
    data, weight = step.value(0), step.value(1)
    constant = step.constant(1)
    shape, out_shape, kernel_shape = step.shape(data), step.shape(step.output), step.shape(weight)
    group, channels = step.number("group", 1), shape[1]
    if not 3 <= len(shape) <= 4:
        raise Refusal(f"convolves over {len(shape) - 2} dimensions, the kernels over one or two")
    kernel = step.kernel([data], fuses=True)
    q = kernel.q(data)
    if constant is None and kernel.integer:
        raise Refusal("its weights are not constant")
    depthwise = group == channels and group > 1
    windows = windows_of(step, shape[2:], kernel_shape[2:], out_shape[2:])
    data, windows = pads_merged(step, data, windows, q)
    free = constant is not None and (group == 1 or depthwise)
    tensor, order = channels_last_data(step, data, q, any_order=free)
    tensor, windows = as_two_dimensional(step, tensor, windows)
    padding = padding_of(windows)
    if padding is None:
        tensor, padding = pad_for(step, tensor, windows), Padding.VALID
    take = order_of(order, channels)
    multiplier = kernel_shape[0] // group
    outs = None if take is None or not depthwise else (take[:, None] * multiplier + np.arange(multiplier)).reshape(-1)

    def change(array: Array) -> Array:
        array = array if array.ndim == 4 else array[:, :, None, :]
        if depthwise:
            array = array.transpose(1, 2, 3, 0)
            return array if outs is None else array[..., outs]
        array = array.transpose(0, 2, 3, 1)
        return array if take is None else array[..., take]

    if constant is not None:
        refuse_weights(constant, kernel, q)
        arranged = constant.rearranged(change, axis=3 if depthwise else 0, take=outs)
        filters, filter_q = weight_tensor(step, kernel, arranged), arranged.qparams
    else:
        rank = len(shape)
        filters = step.low.placed(weight, channels_last(rank), None)
        if rank == 3:
            rows = step.build.shape(filters)
            filters = step.build.reshaped(filters, (rows[0], 1, *rows[1:]), f"{step.name}_filter_row")
        if depthwise:
            filters = step.build.transposed(filters, (3, 1, 2, 0), f"{step.name}_filter")
        filter_q = None
    bias = bias_tensor(step, kernel, constant_bias(step, 2), kernel_shape[0], q, filter_q, take=outs)
    vertical, horizontal = windows
    result_shape = (out_shape[0], vertical.results, horizontal.results, out_shape[1])
    result = step.result(kernel, result_shape)
    options = Conv2DOptions(
        padding=padding,
        stride_w=horizontal.stride,
        stride_h=vertical.stride,
        dilation_w_factor=horizontal.dilation,
        dilation_h_factor=vertical.dilation,
        fused_activation_function=kernel.activation,
    )
    if depthwise:
        shared = options.__dataclass_fields__.keys() & DepthwiseConv2DOptions.__dataclass_fields__.keys()
        fields = {name: getattr(options, name) for name in shared}
        step.build.emit(
            "DEPTHWISE_CONV_2D",
            [tensor, filters, bias],
            [result],
            DepthwiseConv2DOptions(**fields, depth_multiplier=multiplier),
        )
    else:
        step.build.emit("CONV_2D", [tensor, filters, bias], [result], options)
    layout = placed(out_shape, channels_last(len(out_shape)))
    if outs is not None:
        sizes = (*order.sizes, multiplier) if multiplier > 1 else order.sizes
        places = (*order.order, len(order.sizes)) if multiplier > 1 else order.order
        layout = with_channels(out_shape, replace(order, sizes=sizes, order=places))
    step.give(kernel, result, layout)


LOWERINGS = {"Conv": lower_conv}
