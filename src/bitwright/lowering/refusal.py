"""Refusal: why one node has no form in TFLite's vocabulary."""

from __future__ import annotations


class Refusal(Exception):
    """Raised by a node's lowering, caught by `lower`, which lists them all.

    Args:
        reason: what the kernels do not have, as the user reads it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
