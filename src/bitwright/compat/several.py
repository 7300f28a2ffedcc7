"""One value in the place of several, as scripts give it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def several(given: Any) -> tuple[Any, ...]:
    """The members of a collection; one value is a collection of one, a text too, and None of none.

    >>> several(["a", "b"]), several("input"), several(None)
    (('a', 'b'), ('input',), ())
    """
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Collection) and not isinstance(given, str) else (given,)
