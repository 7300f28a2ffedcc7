"""The vocabulary: every operator's Definition by its name."""

from __future__ import annotations

from importlib import import_module

from bitwright.program.definition import Definition

_FAMILIES = (
    "arithmetic",
    "blocks",
    "convolution",
    "elementwise",
    "joining",
    "logic",
    "movement",
    "multiplication",
    "normalization",
    "padding",
    "pooling",
    "products",
    "rectifiers",
    "recurrent",
    "reduction",
    "resize",
    "slicing",
    "types",
)

DEFINITIONS: dict[str, Definition] = {
    kind: definition
    for family in _FAMILIES
    for kind, definition in import_module(f"bitwright.program.families.{family}").DEFINITIONS.items()
}
