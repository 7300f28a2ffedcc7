"""tfmot.experimental."""

from bitwright.compat.tfmot.experimental import combine

__all__ = ["combine"]
