"""tfmot.experimental.combine: the schemes of quantize_apply that keep what pruning and clustering made."""

from bitwright.compat.tfmot.schemes import (
    Default8BitClusterPreserveQuantizeScheme,
    Default8BitPrunePreserveQuantizeScheme,
)

__all__ = ["Default8BitClusterPreserveQuantizeScheme", "Default8BitPrunePreserveQuantizeScheme"]
