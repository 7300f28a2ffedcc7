"""Resize, DepthToSpace, SpaceToDepth: the operators on images, channels last."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bitwright.lowering.context import Array, Form
from bitwright.lowering.element_layout import channels_last, joined, placed, transposed
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Options
from bitwright.program.options import (
    DepthToSpaceOptions,
    GatherOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SpaceToDepthOptions,
)

#: (align_corners, half_pixel_centers) that the kernels have.
_CORNERS = ((False, True), (False, False), (True, False))


def coordinates(step: Step, size: int, out: int, scale: float) -> Array:
    """Where each result element lies in the data, as ONNX computes it."""
    mode = step.text("coordinate_transformation_mode", "half_pixel")
    x = np.arange(out, dtype=np.float64)
    if mode == "align_corners":
        return x * ((size - 1) / (out - 1) if out > 1 else 0.0)
    if mode == "asymmetric":
        return x / scale
    if mode == "pytorch_half_pixel" and out == 1:
        return np.zeros(1)
    if mode == "half_pixel_symmetric":
        shift = size / 2 * (1 - out / (scale * size))
        return shift + (x + 0.5) / scale - 0.5
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (x + 0.5) / scale - 0.5
    raise Refusal(f"resizes by {mode}, which no kernel does")


def picked(step: Step, size: int, out: int, scale: float) -> Array:
    """Which element each result of a nearest resize is."""
    x = coordinates(step, size, out, scale)
    rounding = step.text("nearest_mode", "round_prefer_floor")
    chosen = {
        "round_prefer_floor": np.ceil(x - 0.5),
        "round_prefer_ceil": np.floor(x + 0.5),
        "floor": np.floor(x),
        "ceil": np.ceil(x),
    }[rounding]
    picks: Array = np.clip(chosen, 0, size - 1).astype(np.int64)
    return picks


def _kernel_picks(size: int, out: int, align: bool, half: bool) -> Array:
    """The same of RESIZE_NEAREST_NEIGHBOR, which computes in float32."""
    scale = np.float32((size - 1) / (out - 1)) if align and out > 1 else np.float32(size) / np.float32(out)
    x = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
    chosen = np.floor(x + np.float32(0.5)) if align else np.floor(x)
    picks: Array = np.clip(chosen, 0, size - 1).astype(np.int64)
    return picks


def _kernel_coordinates(size: int, out: int, align: bool, half: bool) -> Array:
    """Where RESIZE_BILINEAR puts each result."""
    scale = (size - 1) / (out - 1) if align and out > 1 else size / out
    x = np.arange(out, dtype=np.float64)
    return (x + 0.5) * scale - 0.5 if half else x * scale


def lower_resize(step: Step) -> None:
    data = step.value(0)
    shape, out_shape = step.shape(data), step.shape(step.output)
    rank = len(shape)
    mode = step.text("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise Refusal(f"interpolates by {mode}, which no kernel does")
    if rank not in (3, 4) or shape[:2] != out_shape[:2]:
        raise Refusal("resizes other dimensions than one or two spatial ones")
    if step.number("antialias", 0) or step.number("exclude_outside", 0):
        raise Refusal("resizes with antialias or exclude_outside, which no kernel does")
    scales = _scales(step, shape, out_shape)
    kernel = step.kernel([data])
    q = kernel.q(data)
    perm = channels_last(rank)
    tensor = step.low.placed(data, perm, q)
    layout = placed(out_shape, perm)
    spatial = list(zip(shape[2:], out_shape[2:], scales[2:], strict=True))
    if mode == "nearest":
        picks = [picked(step, *dim) for dim in spatial]
        fitting = [c for c in _CORNERS if _same_picks(picks, spatial, c)]
        if not fitting:
            step.give(kernel, _gathered(step, kernel, tensor, picks, q), layout)
            return
        options: Options = ResizeNearestNeighborOptions(align_corners=fitting[0][0], half_pixel_centers=fitting[0][1])
        kind = "RESIZE_NEAREST_NEIGHBOR"
    else:
        wanted = [np.clip(coordinates(step, *dim), 0, dim[0] - 1) for dim in spatial]
        fitting = [c for c in _CORNERS if _same_places(wanted, spatial, c)]
        if not fitting:
            raise Refusal("interpolates at places that the kernel does not")
        options = ResizeBilinearOptions(align_corners=fitting[0][0], half_pixel_centers=fitting[0][1])
        kind = "RESIZE_BILINEAR"
    if rank == 3:
        tensor = step.build.reshaped(tensor, (shape[0], 1, shape[2], shape[1]), f"{step.name}_row")
    height, width = (1, *out_shape[2:])[-2:]
    result = step.result(kernel, (shape[0], height, width, shape[1]), q)
    step.build.emit(kind, [tensor, step.build.integers(f"{step.name}_size", (height, width))], [result], options)
    step.give(kernel, result, layout)


def _scales(step: Step, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> list[float]:
    """The factor of every dimension: as it is given, else from the sizes."""
    sizes = [out / size for size, out in zip(shape, out_shape, strict=True)]
    given = step.array(2, "scales") if step.has(2) else None
    if given is None or not given.size:
        if step.has(3) and step.text("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise Refusal("keeps the aspect ratio of its data")
        return sizes
    for axis, factor in zip(step.numbers("axes") or range(len(shape)), given.tolist(), strict=True):
        sizes[axis] = float(factor)
    return sizes


def _same_picks(picks: list[Array], spatial: list[tuple[int, int, float]], corners: tuple[bool, bool]) -> bool:
    return all(
        np.array_equal(own, _kernel_picks(size, out, *corners))
        for own, (size, out, _) in zip(picks, spatial, strict=True)
    )


def _same_places(wanted: list[Array], spatial: list[tuple[int, int, float]], corners: tuple[bool, bool]) -> bool:
    return all(
        np.allclose(own, np.clip(_kernel_coordinates(size, out, *corners), 0, size - 1), rtol=0, atol=1e-6 * size)
        for own, (size, out, _) in zip(wanted, spatial, strict=True)
    )


def _gathered(step: Step, kernel: Kernel, tensor: str, picks: list[Array], q: QuantParams | None) -> str:
    """Elements picked along one dimension after the other."""
    for index, chosen in enumerate(picks, start=1):
        held = step.build.tensors[tensor]
        shape = (*held.shape[:index], len(chosen), *held.shape[index + 1 :])
        last = index == len(picks)
        result = (
            step.result(kernel, shape, q)
            if last
            else step.build.tensor(f"{step.name}_rows", shape, held.dtype, held.qparams)
        )
        where = step.build.integers(f"{step.name}_picks_{index}", chosen)
        step.build.emit("GATHER", [tensor, where], [result], GatherOptions(axis=index))
        tensor = result
    return tensor


def lower_depth_to_space(step: Step) -> None:
    """Blocks before channels (DCR) is what the kernel does; channels before blocks (CRD) is that in another order."""
    data, block = step.value(0), step.number("blocksize", 1)
    out_shape = step.shape(step.output)
    kernel = step.kernel([data], integer=("i8", "u8"))
    q = kernel.q(data)
    if step.text("mode", "DCR") == "CRD":
        data = _blocks_first(step, kernel, block)
    tensor = step.low.placed(data, channels_last(4), q)
    result = step.result(kernel, [out_shape[p] for p in channels_last(4)], q)
    step.build.emit("DEPTH_TO_SPACE", [tensor], [result], DepthToSpaceOptions(block_size=block))
    step.give(kernel, result, placed(out_shape, channels_last(4)))


def _blocks_first(step: Step, kernel: Kernel, block: int) -> ir.Value:
    """The data with channels [C, b, b] seen as [b, b, C]."""
    data = step.value(0)
    q, shape = kernel.q(data), step.shape(data)
    split = (shape[0], shape[1] // block**2, block**2, *shape[2:])
    form = step.low.form(data, q)
    layout = transposed(form.layout, split, (0, 2, 1, 3, 4))
    if layout is None:
        perm = channels_last(4)
        form = Form(step.low.placed(data, perm, q), placed(shape, perm), q)
        layout = transposed(form.layout, split, (0, 2, 1, 3, 4))
        assert layout is not None
    view = step.low.view(f"{step.name}_blocks", shape, [Form(form.tensor, joined(layout.sizes, layout.order), q)])
    kernel.reads[view] = q
    return view


def lower_space_to_depth(step: Step) -> None:
    data, block = step.value(0), step.number("blocksize", 1)
    out_shape = step.shape(step.output)
    kernel = step.kernel([data], integer=("i8", "u8"))
    q = kernel.q(data)
    tensor = step.low.placed(data, channels_last(4), q)
    result = step.result(kernel, [out_shape[p] for p in channels_last(4)], q)
    step.build.emit("SPACE_TO_DEPTH", [tensor], [result], SpaceToDepthOptions(block_size=block))
    step.give(kernel, result, placed(out_shape, channels_last(4)))


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Resize": lower_resize,
    "DepthToSpace": lower_depth_to_space,
    "SpaceToDepth": lower_space_to_depth,
}
