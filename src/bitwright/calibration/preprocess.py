"""From a picture, or a stored array, to what the network was trained on: `--preprocess "scale=1/255 size=224 ..."`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.feeds import InputSpec
from bitwright.errors import UsageError

KEYS = {
    "scale": "every value is multiplied by it first (1/255)",
    "mean": "then subtracted, one number or one per channel",
    "std": "then divided by, one number or one per channel",
    "size": "224: shorter side to 224, then the middle 224x224; 224x160: exactly height x width",
    "resize": "shorter side before the middle is cut out (256)",
    "filter": "bilinear, bicubic, nearest, lanczos or box",
    "layout": "NCHW or NHWC",
    "channels": "RGB, BGR or L (gray)",
}
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box")  # Pillow numbers them 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes an array.

        x = (x * scale - mean) / std

    Args:
        scale, mean, std: as above; mean and std have one entry, or one per channel.
        size: (height, width) of the result; the model's own by default.
        exact: both sides are resized to size, instead of the shorter one and a cut.
        resize: the shorter side before the cut; just enough by default.
        filter: how pictures are resized.
        layout: "NCHW" or "NHWC"; by the model's shape by default.
        channels: "RGB", "BGR" or "L"; by the model's shape by default.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: tuple[int, int] | None = None
    exact: bool = False
    resize: int | None = None
    filter: str = "bilinear"
    layout: str | None = None
    channels: str | None = None

    @property
    def rescales(self) -> bool:
        """Whether the values change."""
        return self.scale != 1.0 or any(self.mean) or any(s != 1.0 for s in self.std)

    def picture(self, image: Any, spec: InputSpec) -> NDArray[Any]:
        """One Pillow image as an array without the batch dimension: [C, H, W], [H, W, C], or [H * W * C] for rank 2.

        Raises:
            UsageError: mean or std do not fit the number of channels.
        """
        layout, channels, size = self._resolve(spec)
        image = image.convert("L" if channels == "L" else "RGB")
        if size is not None:
            image = self._resized(image, size)
        pixels = np.asarray(image)
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if channels == "BGR":
            pixels = pixels[:, :, ::-1]
        values = self.values(pixels, channel_axis=2)
        if layout == "NCHW":
            values = values.transpose(2, 0, 1)
        if spec.rank == 2:
            return values.reshape(-1)
        if spec.rank == 3 and channels == "L":
            return values.reshape(values.shape[-2:] if layout == "NCHW" else values.shape[:2])
        return np.ascontiguousarray(values)

    def array(self, array: NDArray[Any], spec: InputSpec) -> NDArray[Any]:
        """A stored array with its values rescaled; only scale, mean and std apply."""
        if not self.rescales:
            return array
        axis = None
        if max(len(self.mean), len(self.std)) > 1:
            batched = spec.rank is not None and array.ndim == spec.rank
            axis = (
                (1 if batched else 0) if self._resolve(spec)[0] == "NCHW" and (spec.rank or 0) > 2 else array.ndim - 1
            )
        return self.values(array, channel_axis=axis)

    def values(self, x: NDArray[Any], *, channel_axis: int | None) -> NDArray[Any]:
        """(x * scale - mean) / std in float32; x itself when that changes nothing.

        Raises:
            UsageError: mean or std do not fit the number of channels.
        """
        if not self.rescales:
            return x
        channels = 1 if channel_axis is None else x.shape[channel_axis]
        for name, entries in (("mean", self.mean), ("std", self.std)):
            if len(entries) not in (1, channels):
                raise UsageError(
                    f"{name} has {len(entries)} entries, the input has {channels} channels",
                    where=f"--preprocess {name}",
                    next="give one number, or one per channel",
                )
        along = [1] * x.ndim
        if channel_axis is not None:
            along[channel_axis] = -1
        mean, std = (np.array(v, dtype=np.float32).reshape(along if len(v) > 1 else ()) for v in (self.mean, self.std))
        values = x.astype(np.float32) * np.float32(self.scale)
        values -= mean
        values /= std
        return values

    def _resolve(self, spec: InputSpec) -> tuple[str, str, tuple[int, int] | None]:
        shape = spec.shape or ()
        image = shape[1:] if len(shape) == 4 else shape[-3:] if len(shape) == 3 and self.channels != "L" else ()
        layout = self.layout
        if layout is None:
            layout = "NHWC" if image and image[0] not in (1, 3) and image[-1] in (1, 3) else "NCHW"
        count = (image[0] if layout == "NCHW" else image[-1]) if image else 1 if len(shape) in (2, 3) else None
        channels = self.channels or ("L" if count == 1 else "RGB")
        spatial = (image[1:] if layout == "NCHW" else image[:-1]) if image else shape[-2:] if len(shape) == 3 else ()
        size = self.size
        if size is None and len(spatial) == 2 and all(isinstance(d, int) for d in spatial):
            size = (int(spatial[0] or 0), int(spatial[1] or 0))
        return layout, channels, size

    def _resized(self, image: Any, size: tuple[int, int]) -> Any:
        height, width = size
        method = _FILTERS.index(self.filter)
        if self.exact:
            return image if image.size == (width, height) else image.resize((width, height), method)
        # The shorter side, or whichever side is the tighter one where the result is not square.
        if self.resize is not None:
            factor = self.resize / min(image.size)
        else:
            factor = max(width / image.size[0], height / image.size[1])
        scaled = (max(width, round(image.size[0] * factor)), max(height, round(image.size[1] * factor)))
        if scaled != image.size:
            image = image.resize(scaled, method)
        left, top = (image.size[0] - width) // 2, (image.size[1] - height) // 2
        return image.crop((left, top, left + width, top + height)) if image.size != (width, height) else image


def parse_preprocess(text: str | None) -> Preprocess:
    """A Preprocess from its text: key=value pairs apart by spaces.

    Raises:
        UsageError: an unknown key, or a value that cannot be read.

    >>> parse_preprocess("scale=1/255 mean=.5,.5,.5 size=224").size
    (224, 224)
    """
    options: dict[str, Any] = {}
    for word in (text or "").split():
        key, equals, value = word.partition("=")
        if key not in KEYS or not equals:
            raise UsageError(
                f"no preprocessing is called {key!r}" if key not in KEYS else f"{key!r} has no value",
                where=f"--preprocess {text!r}",
                next="; ".join(f"{name}: {what}" for name, what in KEYS.items()),
            )
        if key in options:
            raise UsageError(f"{key!r} is given twice", where=f"--preprocess {text!r}", next="give it once")
        try:
            options |= _READERS[key](value)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise UsageError(
                f"{key}={value} cannot be read", where=f"--preprocess {text!r}", next=f"{key}: {KEYS[key]}"
            ) from error
    return Preprocess(**options)


def _number(text: str) -> float:
    over, slash, under = text.partition("/")
    value = float(Fraction(over) / Fraction(under if slash else "1"))
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _size(text: str) -> dict[str, Any]:
    height, cross, width = text.lower().partition("x")
    size = int(height), int(width if cross else height)
    if min(size) < 1:
        raise ValueError(text)
    return {"size": size, "exact": bool(cross)}


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _divisors(text: str) -> tuple[float, ...]:
    values = tuple(map(_number, text.split(",")))
    if not all(values):
        raise ValueError(text)
    return values


def _one_of(text: str, *choices: str) -> str:
    found = {choice.upper(): choice for choice in choices}.get(text.upper())
    if found is None:
        raise ValueError(text)
    return found


_READERS: dict[str, Any] = {
    "scale": lambda v: {"scale": _number(v)},
    "mean": lambda v: {"mean": tuple(map(_number, v.split(",")))},
    "std": lambda v: {"std": _divisors(v)},
    "size": _size,
    "resize": lambda v: {"resize": _positive(v)},
    "filter": lambda v: {"filter": _one_of(v, *_FILTERS)},
    "layout": lambda v: {"layout": _one_of(v, "NCHW", "NHWC")},
    "channels": lambda v: {"channels": _one_of(v, "RGB", "BGR", "L")},
}
