"""QuantizationDebugOptions: what a QuantizationDebugger measures, and what it leaves float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bitwright.compat.tflite.refusals import ArgumentError


class QuantizationDebugOptions:
    """What to measure, and what to leave float.

    Args:
        layer_debug_metrics: {name: function of the errors of one layer's results (array) that gives a number}.
        model_debug_metrics: {name: function of the float and of the quantized model's outputs (lists of arrays)}.
        layer_direct_compare_metrics: {name: function of a layer's float results, its integers, their scale and their
            zero_point}.
        denylisted_ops: kinds of operators that stay float, as layer_statistics_dump names them: "CONV_2D".
        denylisted_nodes: names of tensors, as layer_statistics_dump names them, whose operators stay float.
        fully_quantize: inputs and outputs hold int8 as well.

    Raises:
        UsageError: two metrics have one name.
    """

    def __init__(
        self,
        layer_debug_metrics: Mapping[str, Callable[[Any], float]] | None = None,
        model_debug_metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
        layer_direct_compare_metrics: Mapping[str, Callable[[Any, Any, float, int], float]] | None = None,
        denylisted_ops: Sequence[str] | None = None,
        denylisted_nodes: Sequence[str] | None = None,
        fully_quantize: bool = False,
    ) -> None:
        self.layer_debug_metrics = layer_debug_metrics
        self.model_debug_metrics = model_debug_metrics
        self.layer_direct_compare_metrics = layer_direct_compare_metrics
        names = [*(layer_debug_metrics or {}), *(model_debug_metrics or {}), *(layer_direct_compare_metrics or {})]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ArgumentError(f"two metrics are called {', '.join(twice)}", next="give each a name of its own")
        self.denylisted_ops = denylisted_ops
        self.denylisted_nodes = denylisted_nodes
        self.fully_quantize = fully_quantize
