"""Windows: how convolutions and pools walk over the border, said with SAME, VALID or a PAD before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Padding
from bitwright.quantization.plan import Compute


@dataclass(frozen=True)
class Window:
    """A window along one dimension.

    Args:
        size: elements of the data.
        kernel: elements of the window.
        stride, dilation: of its steps, of its elements.
        before, after: elements of border; after is as far as windows reach, which may be less than the model says.
        results: how many windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    results: int

    @property
    def reach(self) -> int:
        """Elements from the first to the last of the window."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def needed_after(self) -> int:
        """Elements of border that the last window reads behind the data."""
        return max((self.results - 1) * self.stride + self.reach - self.size - self.before, 0)

    @property
    def is_valid(self) -> bool:
        """Whether it never leaves the data."""
        return not self.before and self.results == (self.size - self.reach) // self.stride + 1

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME places it so."""
        total = max((self.results - 1) * self.stride + self.reach - self.size, 0)
        return self.results == -(-self.size // self.stride) and self.before == total // 2


def windows_of(step: Step, sizes: Sequence[int], kernel: Sequence[int], results: Sequence[int]) -> list[Window]:
    """The windows of a Conv or pool, one a spatial dimension.

    Args:
        step: its strides, dilations, pads and auto_pad are read.
        sizes, kernel, results: per spatial dimension, of the data, the window, the result.
    """
    rank = len(sizes)
    strides = step.numbers("strides") or (1,) * rank
    dilations = step.numbers("dilations") or (1,) * rank
    pads = step.numbers("pads") or (0,) * (2 * rank)
    auto = step.text("auto_pad", "NOTSET")
    found = []
    for i, size in enumerate(sizes):
        reach = (kernel[i] - 1) * dilations[i] + 1
        before, after = pads[i], pads[rank + i]
        if auto == "VALID":
            before = after = 0
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max((results[i] - 1) * strides[i] + reach - size, 0)
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after = total - before
        if before < 0 or after < 0:
            raise Refusal("its pads are negative")
        found.append(Window(size, kernel[i], strides[i], dilations[i], before, after, results[i]))
    return found


def padding_of(windows: Sequence[Window]) -> Padding | None:
    """VALID or SAME where one of the two places all windows; None when a PAD has to."""
    if all(window.is_valid for window in windows):
        return Padding.VALID
    return Padding.SAME if all(window.is_same for window in windows) else None


def pads_merged(
    step: Step, value: ir.Value, windows: Sequence[Window], qparams: QuantParams | None
) -> tuple[ir.Value, list[Window]]:
    """The data of a convolution with the zeros that a Pad before it adds counted as the windows' own border."""
    producer = value.producer()
    if producer is None or producer.op_type != "Pad" or producer.domain != "":
        return value, list(windows)
    pad = Step(step.low, producer)
    data = pad.value(0)
    pads = step.low.concrete.array(producer.inputs[1] if pad.has(1) else None)
    fill = step.low.concrete.array(producer.inputs[2]) if pad.has(2) else np.zeros(1)
    integer = step.low.compute(producer) is Compute.INTEGER
    if pads is None or fill is None or fill.any() or pad.text("mode", "constant") != "constant" or pad.has(3):
        return value, list(windows)
    if integer != (qparams is not None) or (integer and step.low.planned(data) != qparams):
        return value, list(windows)
    rank = len(windows) + 2
    before, after = pads[:rank], pads[rank:]
    if len(pads) != 2 * rank or (pads < 0).any() or before[:2].any() or after[:2].any():
        return value, list(windows)
    merged = [
        replace(
            window,
            size=window.size - int(before[i + 2]) - int(after[i + 2]),
            before=window.before + int(before[i + 2]),
            after=window.after + int(after[i + 2]),
        )
        for i, window in enumerate(windows)
    ]
    return data, merged


def pad_for(step: Step, tensor: str, windows: Sequence[Window], *, lowest: bool = False) -> str:
    """The data with its border, channels last.

    Args:
        step: names it.
        tensor: N, spatial dimensions, C.
        windows: one a spatial dimension.
        lowest: the border holds the lowest number of the data's type, not zero.
    """
    build = step.build
    held = build.tensors[tensor]
    pads = [(0, 0), *((w.before, w.needed_after) for w in windows), (0, 0)]
    shape = [size + sum(pad) for size, pad in zip(held.shape, pads, strict=True)]
    result = build.tensor(f"{step.name}_padded", shape, held.dtype, held.qparams)
    inputs = [tensor, build.integers(f"{step.name}_pads", pads)]
    if not lowest:
        build.emit("PAD", inputs, [result])
        return result
    number = np.finfo(np.float32).min if held.qparams is None else held.qparams.qmin
    inputs.append(build.constant(f"{step.name}_fill", np.array([number]), held.dtype, held.qparams))
    build.emit("PADV2", inputs, [result])
    return result
