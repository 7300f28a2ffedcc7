"""tfmot.clustering."""

from bitwright.compat.tfmot.clustering import keras

__all__ = ["keras"]
