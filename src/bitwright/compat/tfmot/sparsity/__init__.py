"""tfmot.sparsity."""

from bitwright.compat.tfmot.sparsity import keras

__all__ = ["keras"]
