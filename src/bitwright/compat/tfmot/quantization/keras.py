"""tfmot.quantization.keras: training of models as they will run once they are quantized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.compat.tfmot.names import found

if TYPE_CHECKING:
    from bitwright.compat.tfmot.annotating import quantize_annotate_layer, quantize_annotate_model
    from bitwright.compat.tfmot.quantizing import quantize_apply, quantize_model, quantize_scope

__all__ = ["quantize_annotate_layer", "quantize_annotate_model", "quantize_apply", "quantize_model", "quantize_scope"]


def __getattr__(name: str) -> Any:
    return found(__name__, __all__, name, "annotating", "quantizing")
