"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: Resize."""

from __future__ import annotations

from bitwright.lowering.raisings.order import NCHW, placed
from bitwright.lowering.raisings.step import Step
from bitwright.program.options import ResizeBilinearOptions, ResizeNearestNeighborOptions


def _resize(step: Step, coordinates: str, mode: str, nearest: str) -> None:
    sizes = step.integers(placed(step.output.shape, NCHW), "sizes")
    step.give(
        "Resize",
        [step.operand(0, NCHW), None, None, sizes],
        order=NCHW,
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=nearest,
    )


def resize_bilinear(step: Step) -> None:
    """RESIZE_BILINEAR."""
    o = step.options(ResizeBilinearOptions)
    coordinates = "align_corners" if o.align_corners else "half_pixel" if o.half_pixel_centers else "asymmetric"
    _resize(step, coordinates, "linear", "round_prefer_floor")


def resize_nearest_neighbor(step: Step) -> None:
    """RESIZE_NEAREST_NEIGHBOR: rounded down; to the nearest, halves up, where corners or centres are aligned.

    With centres, floor((i + 0.5) * scale) is (i + 0.5) * scale - 0.5 to the nearest.
    """
    o = step.options(ResizeNearestNeighborOptions)
    if o.align_corners:
        _resize(step, "align_corners", "nearest", "round_prefer_ceil")
    elif o.half_pixel_centers:
        _resize(step, "half_pixel", "nearest", "round_prefer_ceil")
    else:
        _resize(step, "asymmetric", "nearest", "floor")


RAISINGS = {"RESIZE_BILINEAR": resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor}
