"""Which function computes which ONNX operator in PyTorch, with the meaning of operator sets 21 to 25.

    OPERATORS["Conv"](x, w, b, strides=[2, 2])

A function takes the node's inputs in ONNX's order, None for one left out, and the attributes it knows as keywords under
ONNX's names; it gives a tensor, or a tuple of the outputs. A keyword `outputs` is the number of outputs the node has.
Gradients are those of PyTorch's functions. Nothing is changed in place; results may be views of inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_FAMILIES = (
    "activations",
    "arithmetic",
    "attention",
    "constants",
    "convolution",
    "elementary",
    "gathering",
    "joining",
    "logic",
    "normalization",
    "padding",
    "pooling",
    "products",
    "ranking",
    "recurrent",
    "reduction",
    "resize",
    "rotary",
    "scattering",
    "shapes",
    "slicing",
    "types",
    "views",
)

OPERATORS: dict[str, Callable[..., Any]] = {
    op: function
    for family in _FAMILIES
    for op, function in import_module(f"bitwright.training.operators.{family}").OPERATORS.items()
}
