"""Annotations: which layers of a Keras model are to be quantized, and which nodes of its graph are theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.compat.tfmot.wrapping import LayerAround, changed, copied, is_graph
from bitwright.errors import UsageError
from bitwright.graph.constants import array_of


@keras.saving.register_keras_serializable("bitwright")
class QuantizeAnnotate(LayerAround):
    """A layer that is to be quantized; until then it computes as it does."""

    def __init__(self, layer: Any, quantize_config: Any = None, **kwargs: Any) -> None:
        if quantize_config is not None:
            raise UsageError(
                f"a quantize_config is not taken ({type(quantize_config).__name__}): the planner decides by operator",
                where=f"layer {layer.name!r}",
                next="leave it out; a Recipe says how each operator computes: bitwright.prepare_qat(model, recipe)",
            )
        super().__init__(layer, "quantize_annotate", **kwargs)

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the layer gives."""
        return self.layer(inputs, *args, **kwargs)


def quantize_annotate_layer(to_annotate: Any, quantize_config: Any = None) -> Any:
    """A layer that `quantize_apply` is to quantize.

    Args:
        to_annotate: keras.Layer, no model.
        quantize_config: None.

    Raises:
        UsageError: it is no layer, or a quantize_config was given.
    """
    if not isinstance(to_annotate, keras.layers.Layer) or isinstance(to_annotate, keras.Model):
        raise UsageError(
            f"quantize_annotate_layer takes a layer, not {type(to_annotate).__name__}",
            next="quantize_annotate_model takes a model",
        )
    return QuantizeAnnotate(to_annotate, quantize_config)


def quantize_annotate_model(to_annotate: Any) -> Any:
    """A model all of whose layers `quantize_apply` is to quantize.

    Args:
        to_annotate: Sequential or Functional; it stays as it is.

    Raises:
        UsageError: it is neither.
    """
    if not is_graph(to_annotate):
        raise UsageError(
            f"quantize_annotate_model takes a Sequential or Functional model, not {type(to_annotate).__name__}",
            next="for a subclassed model: bitwright.prepare_qat(model, example_inputs=...)",
        )

    def annotated(layer: Any) -> Any:
        return layer if isinstance(layer, QuantizeAnnotate) else QuantizeAnnotate(layer)

    return changed(copied(to_annotate), annotated, "quantize_annotate_model")


def without_annotations(model: Any) -> tuple[Any, list[Any]]:
    """A model without annotations, which shares its layers; and the layers with weights that had none."""
    left: list[Any] = []

    def plain(layer: Any) -> Any:
        if isinstance(layer, QuantizeAnnotate):
            return layer.layer
        left.extend([layer] if layer.weights else [])
        return layer

    return changed(model, plain, "quantize_apply"), left


def nodes_of(graph: ir.Model, layers: Iterable[Any], others: Iterable[Any]) -> list[str]:
    """The nodes of layers in a model's graph, by the values of their weights.

    A node without weights belongs to the layers that its inputs come from.

    Args:
        graph: of the model.
        layers: whose nodes are asked for.
        others: the other layers with weights.

    Returns:
        Names of nodes that belong to such layers alone.
    """
    asked, rest = _marks(layers), _marks(others)
    owners: dict[str, set[bool]] = {}
    found = []
    for node in graph.graph:
        marks = {_mark(array) for value in node.inputs if (array := array_of(value)) is not None and array.size > 1}
        belongs = {True} if marks & asked else {False} if marks & rest else set()
        for value in node.inputs if not belongs else ():
            belongs |= owners.get(str(value.name), set()) if value is not None else set()
        for value in node.outputs:
            owners[str(value.name)] = belongs
        if belongs == {True}:
            found.append(str(node.name))
    return found


def _marks(layers: Iterable[Any]) -> set[bytes]:
    return {_mark(keras.ops.convert_to_numpy(one)) for layer in layers for one in layer.weights if len(one.shape) > 1}


def _mark(array: NDArray[Any]) -> bytes:
    """The same for an array however its axes lie."""
    return np.sort(array, axis=None).astype(np.float32).tobytes()
