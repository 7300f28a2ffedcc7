"""Names that nothing else has."""

from __future__ import annotations

from typing import Any


def free_name(wanted: str, taken: set[Any], *, first: int = 1) -> str:
    """`wanted`, or it with a number where it is taken; it is taken from then on.

    Args:
        wanted: the name.
        taken: names, None among them; the result is added.
        first: the first number.

    >>> taken = {"x", "x_1"}
    >>> free_name("x", taken), free_name("x", taken), free_name("y", taken)
    ('x_2', 'x_3', 'y')
    """
    name, count = wanted, first
    while name in taken:
        name = f"{wanted}_{count}"
        count += 1
    taken.add(name)
    return name
