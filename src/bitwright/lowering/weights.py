"""Weights and biases of convolutions and matrix products, as their kernels take them."""

from __future__ import annotations

import numpy as np

from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Array
from bitwright.lowering.parameters import bias_parameters
from bitwright.lowering.provenance import has_asymmetric_inputs
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.quantization.plan import Compute


def refuse_weights(constant: Constant, kernel: Kernel, data: QuantParams | None) -> None:
    """Refuse integer weights that no integer kernel takes beside such data."""
    if not kernel.integer:
        return
    qparams = constant.qparams
    if qparams is None:
        raise Refusal("its weights have no parameters in the plan")
    if data is not None and data.storage == "u8":
        if qparams.storage != "u8" or qparams.axis is not None:
            raise Refusal("uint8 kernels take uint8 weights with one scale")
    elif qparams.storage not in ("i8", "i4"):
        raise Refusal(f"its weights are {qparams.storage}, the kernels take i8")
    elif qparams.zero_point.any():
        raise Refusal("its int8 weights have a zero_point, the kernels' have none")


def weight_tensor(step: Step, kernel: Kernel, constant: Constant) -> str:
    """The tensor of weights that are in the kernel's order already.

    Integers beside integer activations, integers as well where the kernel quantizes float activations as they arrive
    (hybrid), else floats, which a DEQUANTIZE makes of what is stored.
    """
    if kernel.integer or is_hybrid(step, constant):
        return step.low.store(constant)
    return step.low.real(constant)


def is_hybrid(step: Step, constant: Constant) -> bool:
    """Whether the plan has the node quantize its activations as they arrive, and its weights allow it."""
    return step.low.compute(step.node) is Compute.DYNAMIC and constant.dtype == "i8"


def quantizes_asymmetrically(step: Step, constant: Constant) -> bool:
    """Whether the kernel quantizes its activations as they arrive, and gives them a zero_point."""
    return is_hybrid(step, constant) and has_asymmetric_inputs(step.node)


def bias_tensor(
    step: Step,
    kernel: Kernel,
    bias: Constant | None,
    channels: int,
    data: QuantParams | None,
    weight: QuantParams | None,
    *,
    take: Array | None = None,
    needed: bool = True,
) -> str | None:
    """The bias, one value an output channel.

    Args:
        bias: constant of `channels` elements or one; None: zeros where the kernel needs one.
        data, weight: the parameters of both factors where the kernel computes on integers.
        take: the order of channels.
        needed: whether zeros are written out.
    """
    if bias is None and not needed:
        return None
    name = f"{step.name}_bias" if bias is None else bias.name
    plain = bias is None or bias.is_plain
    if kernel.integer:
        assert data is not None and weight is not None
        if take is not None and weight.axis is not None:  # the weight's scales are in the kernel's order already
            back = np.argsort(take)
            weight = QuantParams(weight.scale[back], 0, weight.storage, weight.axis)
        wanted = bias_parameters(data, weight)
        if bias is None:
            array: Array = np.zeros(channels, wanted.kind.dtype)
        elif bias.qparams is not None and np.array_equal(bias.qparams.scale, wanted.scale):
            array = bias.array.reshape(-1).astype(wanted.kind.dtype)
        else:
            array = quantize(_spread(bias.real(), channels), wanted)
        stored = Constant(name, array, wanted.storage, wanted)
    elif bias is None or (plain and bias is not None) or bias.array.size != channels:
        array = np.zeros(channels, np.float32) if bias is None else _spread(bias.real(), channels)
        stored = Constant(name, array, "f32")
    else:
        stored = bias.rearranged(lambda a: a.reshape(-1), axis=0)
    if take is not None:
        stored = stored.rearranged(lambda a: a[take], axis=0, take=take)
    return step.low.real(stored) if not kernel.integer else step.low.store(stored)


def _spread(array: Array, channels: int) -> Array:
    if array.size not in (1, channels):
        raise Refusal("its bias is not one value per output channel")
    return np.broadcast_to(array.reshape(-1), (channels,)).astype(np.float32)


def constant_bias(step: Step, index: int) -> Constant | None:
    """The bias operand.

    Raises:
        Refusal: it is computed.
    """
    if not step.has(index):
        return None
    constant = step.constant(index)
    if constant is None:
        raise Refusal("its bias is not constant")
    return constant
