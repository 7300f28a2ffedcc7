"""Windows: the attributes of ONNX's convolutions and pools that say where the window goes."""

from __future__ import annotations

from collections.abc import Sequence

from bitwright.program.operator import Padding

#: A pair of height and width.
Pair = tuple[int, int]


def pads(padding: Padding, size: Pair, kernel: Pair, strides: Pair, dilations: Pair = (1, 1)) -> tuple[int, ...]:
    """ONNX's pads of a padded window: (top, left, bottom, right).

        total = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0), the odd one at the end

    Args:
        size: H and W of the input.

    Source: TensorFlow's padding "SAME".

    >>> pads(Padding.SAME, (32, 33), (3, 3), (2, 2))
    (0, 1, 1, 1)
    """
    if padding is Padding.VALID:
        return (0, 0, 0, 0)
    totals = [
        max((-(-size[i] // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size[i], 0)
        for i in range(2)
    ]
    return (*(total // 2 for total in totals), *(total - total // 2 for total in totals))


def transposed_pads(
    padding: Padding, size: Pair, result: Pair, kernel: Pair, strides: Pair
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads and output_padding of ONNX's ConvTranspose that give `result` from an input of `size`.

    >>> transposed_pads(Padding.SAME, (4, 4), (8, 8), (3, 3), (2, 2))
    ((0, 0, 1, 1), (0, 0))
    """
    before = pads(padding, result, kernel, strides)[:2]
    after = [strides[i] * (size[i] - 1) + kernel[i] - result[i] - before[i] for i in range(2)]
    return (*before, *(max(a, 0) for a in after)), tuple(max(-a, 0) for a in after)


def pair(numbers: Sequence[int]) -> Pair:
    """The first two numbers."""
    return int(numbers[0]), int(numbers[1])
