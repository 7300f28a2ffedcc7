"""How every operator is raised, by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from bitwright.lowering.raisings.step import Step

_FAMILIES = (
    "arithmetic",
    "blocks",
    "convolution",
    "elementwise",
    "joining",
    "logic",
    "movement",
    "normalization",
    "padding",
    "pooling",
    "products",
    "recurrent",
    "reduction",
    "resize",
    "slicing",
    "types",
)

#: Adds the nodes that stand for a step to its builder. Raises UnsupportedOpError with the reason when there are none.
RAISINGS: dict[str, Callable[[Step], None]] = {
    kind: raising
    for family in _FAMILIES
    for kind, raising in import_module(f"bitwright.lowering.raisings.{family}").RAISINGS.items()
}
