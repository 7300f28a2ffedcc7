"""Schemes of quantize_apply: all of them are one here, which keeps zeros and shared values."""

from __future__ import annotations

from dataclasses import dataclass

from bitwright.errors import UsageError


@dataclass(frozen=True)
class Default8BitQuantizeScheme:
    """8 bits; kernels of convolutions with a scale a channel."""


@dataclass(frozen=True)
class Default8BitPrunePreserveQuantizeScheme(Default8BitQuantizeScheme):
    """The same: zeros stay zeros, where they are more than a fifth of a weight."""


@dataclass(frozen=True)
class Default8BitClusterPreserveQuantizeScheme(Default8BitQuantizeScheme):
    """The same: shared values stay shared, and zeros zeros.

    Args:
        preserve_sparsity: False is refused: zeros stay.
    """

    preserve_sparsity: bool = True

    def __post_init__(self) -> None:
        if not self.preserve_sparsity:
            raise UsageError("preserve_sparsity cannot be False: zeros stay zeros here", next="leave it out")


def check_scheme(given: object) -> None:
    """Take tfmot's own default scheme by its name as well.

    Raises:
        UsageError: another one.
    """
    names = {cls.__name__ for cls in type(given).__mro__}
    if given is not None and Default8BitQuantizeScheme.__name__ not in names:
        raise UsageError(
            f"the scheme {type(given).__name__} is not known here",
            next="leave it out; other numbers of bits: bitwright.prepare_qat(model, weight_bits=4)",
        )
