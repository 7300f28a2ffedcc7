"""Forms of an operator that only a running graph shows, refused."""

from __future__ import annotations

from bitwright.errors import UnsupportedOpError


def refuse(form: str, next: str) -> UnsupportedOpError:
    """The error for a form of an operator that has no function here; the executor adds the node."""
    return UnsupportedOpError(f"{form} cannot be trained", next=next)


def require(held: bool, form: str, next: str) -> None:
    """Refuse a form unless the condition holds.

    Raises:
        UnsupportedOpError: it does not.
    """
    if not held:
        raise refuse(form, next)
