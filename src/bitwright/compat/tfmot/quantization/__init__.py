"""tfmot.quantization."""

from bitwright.compat.tfmot.quantization import keras

__all__ = ["keras"]
