"""Layouts of a Program's ports against those of the graph it was lowered from, as its metadata tells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.program.program import Program

#: Key of Program.metadata: JSON {"inputs": {port: permutation}, "outputs": {...}}.
LAYOUT = "bitwright.layout"

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class PortLayouts:
    """Permutations by port name: dimension i of the stored tensor is dimension perm[i] of the graph's value.

    A port that is not named is stored as the graph has it.
    """

    inputs: Mapping[str, Permutation] = field(default_factory=dict)
    outputs: Mapping[str, Permutation] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As the metadata holds it."""
        sides = {"inputs": self.inputs, "outputs": self.outputs}
        return json.dumps({side: {n: list(p) for n, p in ports.items()} for side, ports in sides.items()}).encode()


def layouts_of(program: Program) -> PortLayouts:
    """The layouts that a Program's metadata tells; none when it tells nothing that can be read.

    >>> layouts_of(Program({}, (), (), (), metadata={LAYOUT: b'{"inputs": {"x": [0, 2, 3, 1]}, "outputs": {}}'})).inputs
    {'x': (0, 2, 3, 1)}
    """
    return read_layouts(program.metadata.get(LAYOUT))


def read_layouts(text: str | bytes | None) -> PortLayouts:
    """Layouts as metadata holds them; none when there is no text, or it is someone else's under our key."""
    try:
        data = json.loads(text or b"")
        sides = [
            {str(name): tuple(int(i) for i in perm) for name, perm in data[side].items()}
            for side in ("inputs", "outputs")
        ]
    except (KeyError, ValueError, TypeError, AttributeError):
        return PortLayouts()
    if any(sorted(perm) != list(range(len(perm))) for ports in sides for perm in ports.values()):
        return PortLayouts()
    return PortLayouts(*sides)


def layouts_against(told: PortLayouts, program: Program) -> PortLayouts:
    """How a Program's ports lie against those of the graph it was lowered from, whose own layouts are `told`."""
    return composed(undone(told), layouts_of(program))


def composed(first: PortLayouts, then: PortLayouts) -> PortLayouts:
    """Layouts after two steps: a graph whose ports lie as `first` says, lowered to ports that lie as `then` says.

    >>> composed(PortLayouts({"x": (0, 2, 3, 1)}), PortLayouts({"x": (0, 3, 1, 2)})).inputs
    {}
    """
    return PortLayouts(_composed(first.inputs, then.inputs), _composed(first.outputs, then.outputs))


def undone(first: PortLayouts) -> PortLayouts:
    """The layouts that lead back: `composed(undone(first), composed(first, then))` is `then`."""
    return PortLayouts(
        {name: inverse(perm) for name, perm in first.inputs.items()},
        {name: inverse(perm) for name, perm in first.outputs.items()},
    )


def _composed(first: Mapping[str, Permutation], then: Mapping[str, Permutation]) -> dict[str, Permutation]:
    made: dict[str, Permutation] = {}
    for name in (*first, *(name for name in then if name not in first)):
        one, two = first.get(name), then.get(name)
        both = two if one is None else one if two is None else tuple(one[i] for i in two if i < len(one))
        if both is not None and both != tuple(range(len(both))):
            made[name] = both
    return made


def inverse(permutation: Permutation) -> Permutation:
    """The permutation that undoes it.

    >>> inverse((0, 2, 3, 1))
    (0, 3, 1, 2)
    """
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))
