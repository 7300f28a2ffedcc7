"""Softmax, LogSoftmax, LpNormalization and the normalizations that are composed of simpler operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from bitwright.lowering.context import Array, Form
from bitwright.lowering.element_layout import channels_last, placed
from bitwright.lowering.lowerings.reduction import reduced
from bitwright.lowering.parameters import LOG_UNIT, SIGNED_UNIT, UNIT
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.program.operator import Options
from bitwright.program.options import AddOptions, L2NormOptions, MulOptions, SoftmaxOptions, SubOptions
from bitwright.quantization.activations import fixed_qparams


def _with_axis_last(step: Step, data: ir.Value, axis: int, kernel: Kernel) -> tuple[str, tuple[int, ...]]:
    """The data with one dimension stored last."""
    q = kernel.q(data)
    perm = step.low.perm(data, q)
    if perm[-1] != axis:
        perm = (*(p for p in perm if p != axis), axis)
    return step.low.placed(data, perm, q), perm


def along_axis(
    step: Step, kind: str, options: Options, default: int, *, integer: tuple[str, ...], bounds: tuple[float, float]
) -> None:
    """One operator that works along the last dimension."""
    data = step.value(0)
    shape = step.shape(data)
    axis = step.axis("axis", default, len(shape))
    kernel = step.kernel([data], integer=integer)
    tensor, perm = _with_axis_last(step, data, axis, kernel)
    given = None
    if kernel.integer and kernel.qparams is not None:
        given = fixed_qparams(bounds, kernel.qparams.storage)
    result = step.result(kernel, step.build.shape(tensor), given)
    step.build.emit(kind, [tensor], [result], options)
    step.give(kernel, result, placed(shape, perm))


def lower_lp_normalization(step: Step) -> None:
    if step.number("p", 2) != 2:
        raise Refusal("divides by a norm other than the second")
    along_axis(step, "L2_NORMALIZATION", L2NormOptions(), -1, integer=("i8", "u8"), bounds=SIGNED_UNIT)


class Composer:
    """Emits float operators on tensors of one node, each named after it."""

    def __init__(self, step: Step) -> None:
        self.step, self.build = step, step.build

    def number(self, name: str, value: float) -> str:
        return self.build.constant(f"{self.step.name}_{name}", np.array([value], np.float32), "f32")

    def array(self, name: str, array: Array) -> str:
        return self.build.constant(f"{self.step.name}_{name}", array, "f32")

    def do(self, kind: str, name: str, *inputs: str, options: Options | None = None, result: str | None = None) -> str:
        if result is None:
            shape = np.broadcast_shapes(*(self.build.shape(tensor) for tensor in inputs))
            result = self.build.tensor(f"{self.step.name}_{name}", shape)
        kinds = {
            "ADD": AddOptions(pot_scale_int16=False),
            "SUB": SubOptions(pot_scale_int16=False),
            "MUL": MulOptions(),
        }
        self.build.emit(kind, inputs, [result], options or kinds.get(kind))
        return result

    def mean(self, name: str, tensor: str, perm: Sequence[int], axes: Sequence[int]) -> str:
        shape = self.build.shape(tensor)
        kept = [1 if p in axes else n for p, n in zip(perm, shape, strict=True)]
        result = self.build.tensor(f"{self.step.name}_{name}", kept)
        reduced(self.step, self.step.kernel([], integer=()), "MEAN", tensor, perm, axes, result)
        return result


def normalized(
    step: Step,
    kernel: Kernel,
    tensor: str,
    perm: Sequence[int],
    axes: Sequence[int],
    scale: Array | None,
    bias: Array | None,
    epsilon: float,
) -> str:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, in float.

    Args:
        tensor, perm: the data as it lies.
        axes: of the mean and the variance.
        scale, bias: in the tensor's order of dimensions, None: one and zero.
    """
    do = Composer(step)
    mean = do.mean("mean", tensor, perm, axes)
    variance = do.mean("variance", do.do("SQUARED_DIFFERENCE", "squares", tensor, mean), perm, axes)
    shifted = do.do("ADD", "shifted", variance, do.number("epsilon", epsilon))
    factor = do.do("RSQRT", "factor", shifted)
    centred = do.do("SUB", "centred", tensor, mean)
    result = step.result(kernel, step.build.shape(tensor))
    parts = [("MUL", factor), *([("MUL", do.array("scale", scale))] if scale is not None else [])]
    parts += [("ADD", do.array("shift", bias))] if bias is not None else []
    for index, (kind, other) in enumerate(parts):
        last = index == len(parts) - 1
        centred = do.do(kind, f"part_{index}", centred, other, result=result if last else None)
    return centred


def lower_layer_normalization(step: Step) -> None:
    data = step.value(0)
    shape = step.shape(data)
    rank = len(shape)
    first = step.axis("axis", -1, rank)
    if len([v for v in step.node.outputs if v.name and (v.uses() or v.is_graph_output())]) > 1:
        raise Refusal("its mean or deviation is wanted")
    kernel = step.kernel([data], integer=())
    perm = step.low.perm(data, None)
    tensor = step.low.placed(data, perm, None)
    scale, bias = (_laid(step, index, what, perm, shape) for index, what in ((1, "scale"), (2, "bias")))
    axes = list(range(first, rank))
    result = normalized(step, kernel, tensor, perm, axes, scale, bias, step.real("epsilon", 1e-5))
    step.give(kernel, result, placed(shape, perm))


def _laid(step: Step, index: int, what: str, perm: Sequence[int], shape: Sequence[int]) -> Array | None:
    """A constant operand that broadcasts, in an order of dimensions."""
    array = step.array(index, what)
    if array is None:
        return None
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape).transpose(perm).astype(np.float32)


def _channelwise(step: Step, index: int, what: str, rank: int, perm: Sequence[int]) -> Array:
    """A constant of one value a channel, in an order of dimensions."""
    array = step.array(index, what)
    if array is None:
        raise Refusal(f"has no {what}")
    return array.astype(np.float32).reshape([-1 if p == 1 else 1 for p in perm])


def lower_batch_normalization(step: Step) -> None:
    data = step.value(0)
    rank = len(step.shape(data))
    if step.number("training_mode", 0):
        raise Refusal("is in training mode")
    scale, bias, mean, variance = (np.asarray(step.array(i, "parameters"), np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + step.real("epsilon", 1e-5))
    kernel = step.kernel([data], integer=())
    perm = step.low.perm(data, None)
    tensor = step.low.placed(data, perm, None)
    view = [-1 if p == (1 if rank > 1 else 0) else 1 for p in perm]
    do = Composer(step)
    product = do.do("MUL", "product", tensor, do.array("factor", factor.astype(np.float32).reshape(view)))
    result = step.result(kernel, step.build.shape(tensor))
    shift = do.array("shift", (bias - mean * factor).astype(np.float32).reshape(view))
    do.do("ADD", "sum", product, shift, result=result)
    step.give(kernel, result, placed(step.shape(data), perm))


def lower_instance_normalization(step: Step) -> None:
    data = step.value(0)
    shape = step.shape(data)
    rank = len(shape)
    kernel = step.kernel([data], integer=())
    perm = channels_last(rank)
    tensor = step.low.placed(data, perm, None)
    scale, bias = _channelwise(step, 1, "scale", rank, perm), _channelwise(step, 2, "bias", rank, perm)
    axes = list(range(2, rank))
    result = normalized(step, kernel, tensor, perm, axes, scale, bias, step.real("epsilon", 1e-5))
    step.give(kernel, result, placed(shape, perm))


def lower_group_normalization(step: Step) -> None:
    """Groups of channels as a dimension of their own: [N, C, places] seen as [N, G, C / G, places]."""
    data = step.value(0)
    shape = step.shape(data)
    groups = step.number("num_groups", 1)
    kernel = step.kernel([data], integer=())
    split = (shape[0], groups, shape[1] // groups, int(np.prod(shape[2:])))
    form = step.low.form(data, None)
    view = step.low.view(f"{step.name}_groups", split, [Form(form.tensor, form.layout, None)])
    perm = step.low.perm(view, None)
    tensor = step.low.placed(view, perm, None)
    parts = []
    for index, what in ((1, "scale"), (2, "bias")):
        array = np.asarray(step.array(index, what), np.float32)
        wide = np.repeat(array, split[2]) if array.size == groups and groups != shape[1] else array
        parts.append(wide.reshape(1, groups, split[2], 1).transpose(perm))
    result = normalized(step, kernel, tensor, perm, [2, 3], parts[0], parts[1], step.real("epsilon", 1e-5))
    step.give(kernel, result, placed(split, perm))


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Softmax": lambda step: along_axis(
        step, "SOFTMAX", SoftmaxOptions(beta=1.0), -1, integer=("i8", "u8", "i16"), bounds=UNIT
    ),
    "LogSoftmax": lambda step: along_axis(step, "LOG_SOFTMAX", Options(), -1, integer=("i8", "u8"), bounds=LOG_UNIT),
    "LpNormalization": lower_lp_normalization,
    "LayerNormalization": lower_layer_normalization,
    "BatchNormalization": lower_batch_normalization,
    "InstanceNormalization": lower_instance_normalization,
    "GroupNormalization": lower_group_normalization,
}
