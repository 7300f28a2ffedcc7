"""Which function lowers which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from bitwright.lowering.step import Step

_FAMILIES = (
    "arithmetic",
    "composed",
    "convolution",
    "gelu",
    "logic",
    "moves",
    "normalization",
    "padding",
    "pooling",
    "products",
    "recurrent",
    "reduction",
    "resize",
    "transposed",
    "types",
    "unary",
    "views",
)

LOWERINGS: dict[str, Callable[[Step], None]] = {
    op: function
    for family in _FAMILIES
    for op, function in import_module(f"bitwright.lowering.lowerings.{family}").LOWERINGS.items()
}
