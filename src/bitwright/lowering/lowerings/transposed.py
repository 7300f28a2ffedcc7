"""ConvTranspose: TRANSPOSE_CONV, and a SLICE where its border is not SAME or VALID."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Array
from bitwright.lowering.element_layout import channels_last, placed
from bitwright.lowering.lowerings.convolution import channels_last_data, order_of
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.lowering.weights import bias_tensor, constant_bias, refuse_weights, weight_tensor
from bitwright.program.operator import Padding
from bitwright.program.options import TransposeConvOptions


def lower_conv_transpose(step: Step) -> None:
    data, weight = step.value(0), step.constant(1)
    shape, out_shape = step.shape(data), step.shape(step.output)
    rank = len(shape) - 2
    if weight is None:
        raise Refusal("its weights are not constant")
    if not 1 <= rank <= 2:
        raise Refusal(f"convolves over {rank} dimensions, the kernel over one or two")
    group = step.number("group", 1)
    strides = step.numbers("strides") or (1,) * rank
    dilations = step.numbers("dilations") or (1,) * rank
    kernel = step.kernel([data], fuses=True)
    q = kernel.q(data)
    tensor, order = channels_last_data(step, data, q, any_order=group == 1)
    take = order_of(order, shape[1])
    axis = weight.qparams.axis if weight.qparams is not None else None
    if group > 1 and axis is not None:
        raise Refusal("grouped weights of a ConvTranspose have no output-channel axis")
    filters = weight.rearranged(lambda a: _arranged(a, group, dilations, take), axis=0)
    if weight.qparams is not None and weight.qparams.zero_point.any() and (group > 1 or any(d > 1 for d in dilations)):
        filters = _filled(filters, weight, group, dilations, take)
    refuse_weights(filters, kernel, q)
    sizes, outs, begins = list(shape[2:]), list(out_shape[2:]), _borders(step, rank, shape, out_shape, strides)
    windows = list(filters.shape[1:3])
    if rank == 1:
        rows = step.build.shape(tensor)
        tensor = step.build.reshaped(tensor, (rows[0], 1, *rows[1:]), f"{step.name}_row")
        sizes, outs, begins, strides = [1, *sizes], [1, *outs], [0, *begins], (1, *strides)
    whole, padding = outs, Padding.SAME
    if not all(_is_same(*w) for w in zip(sizes, outs, windows, strides, begins, strict=True)):
        whole, padding = [_whole(*w) for w in zip(sizes, outs, windows, strides, begins, strict=True)], Padding.VALID
    stored = weight_tensor(step, kernel, filters)
    bias = bias_tensor(step, kernel, constant_bias(step, 2), out_shape[1], q, filters.qparams)
    grown = (shape[0], *whole, out_shape[1])
    cut = whole != outs
    result_shape = (shape[0], *outs, out_shape[1])
    target = step.result(kernel, result_shape)
    held = step.build.tensors[target]
    result = step.build.tensor(f"{step.name}_whole", grown, held.dtype, held.qparams) if cut else target
    options = TransposeConvOptions(
        padding=padding, stride_w=strides[1], stride_h=strides[0], fused_activation_function=kernel.activation
    )
    inputs = [step.build.integers(f"{step.name}_shape", grown), stored, tensor, bias]
    step.build.emit("TRANSPOSE_CONV", inputs, [result], options)
    if cut:
        begin = step.build.integers(f"{step.name}_begin", (0, *begins, 0))
        step.build.emit("SLICE", [result, begin, step.build.integers(f"{step.name}_size", result_shape)], [target])
    step.give(kernel, target, placed(out_shape, channels_last(len(out_shape))))


def _arranged(array: Array, group: int, dilations: tuple[int, ...], take: Array | None) -> Array:
    """[I, O/G, H, W] -> [O, H, W, I]: groups as one with zeros between them, dilated windows with zeros inside."""
    if array.ndim == 3:
        array, dilations = array[:, :, None, :], (1, *dilations)
    inputs, own = array.shape[:2]
    whole = np.zeros((inputs, group * own, *array.shape[2:]), array.dtype)
    for index in range(group):
        rows = slice(index * inputs // group, (index + 1) * inputs // group)
        whole[rows, index * own : (index + 1) * own] = array[rows]
    height, width = (1 + (n - 1) * d for n, d in zip(whole.shape[2:], dilations, strict=True))
    spread = np.zeros((*whole.shape[:2], height, width), array.dtype)
    spread[:, :, :: dilations[-2], :: dilations[-1]] = whole
    spread = spread.transpose(1, 2, 3, 0)
    return spread if take is None else spread[..., take]


def _filled(
    filters: Constant, weight: Constant, group: int, dilations: tuple[int, ...], take: Array | None
) -> Constant:
    """The same with the zero_point where nothing is."""
    assert weight.qparams is not None
    present = _arranged(np.ones(weight.shape, np.bool_), group, dilations, take)
    point = int(weight.qparams.zero_point.reshape(()))
    array = np.where(present, filters.array, np.asarray(point, filters.array.dtype))
    return Constant(filters.name, array, filters.dtype, filters.qparams)


def _borders(
    step: Step, rank: int, shape: tuple[int, ...], out_shape: tuple[int, ...], strides: tuple[int, ...]
) -> list[int]:
    """How much the result leaves out at its beginning, a dimension."""
    pads, auto = step.numbers("pads") or (0,) * (2 * rank), step.text("auto_pad", "NOTSET")
    if auto == "NOTSET" and not step.numbers("output_shape"):
        return list(pads[:rank])
    if auto == "VALID":
        return [0] * rank
    extra = step.numbers("output_padding") or (0,) * rank
    windows = step.shape(step.value(1))[2:]
    dilations = step.numbers("dilations") or (1,) * rank
    begins = []
    for i in range(rank):
        reach = (windows[i] - 1) * dilations[i] + 1
        total = strides[i] * (shape[i + 2] - 1) + extra[i] + reach - out_shape[i + 2]
        if total < 0:
            raise Refusal("its result is larger than its windows reach")
        begins.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    return begins


def _is_same(size: int, out: int, window: int, stride: int, begin: int) -> bool:
    """Whether SAME leaves out so much at the beginning."""
    return size == -(-out // stride) and begin == max((size - 1) * stride + window - out, 0) // 2


def _whole(size: int, out: int, window: int, stride: int, begin: int) -> int:
    """How long the result is before its border is cut off: at least as far as windows reach."""
    reach = (size - 1) * stride + window
    if out + begin >= reach + stride:  # the kernel would count one more element of data
        raise Refusal("its result is larger than its windows reach")
    return max(out + begin, reach)


LOWERINGS = {"ConvTranspose": lower_conv_transpose}
