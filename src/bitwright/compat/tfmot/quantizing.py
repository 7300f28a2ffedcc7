"""Quantization-aware training of a Keras model: bitwright's Network, as a layer of a Keras model."""

from __future__ import annotations

import base64
import re
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import onnx

from bitwright.api import load
from bitwright.compat.tfmot.annotating import QuantizeAnnotate, nodes_of, without_annotations
from bitwright.compat.tfmot.schemes import check_scheme
from bitwright.compat.tfmot.wrapping import is_graph
from bitwright.errors import UsageError
from bitwright.model import Model
from bitwright.retraining import convert, prepare_qat
from bitwright.transforms.pipeline import prepare

_PREFIX = "quant_"


@dataclass(frozen=True)
class MadeOf:
    """What a quantized network is made of, as plain values.

    Args:
        graph: the float model as an ONNX file's bytes, in base64.
        input_names: the graph's inputs in Keras's order.
        specs: [shape, type] of each output.
        structure: how Keras nests the outputs, each told by its place.
        exclude: nodes that stay float.
    """

    graph: str
    input_names: list[str]
    specs: list[tuple[list[int | None], str]]
    structure: Any
    exclude: list[str]

    def network(self) -> Any:
        """A Network with fake quantization."""
        return prepare_qat(
            onnx.ModelProto.FromString(base64.b64decode(self.graph)),
            target="litert",
            exclude=[f"^{re.escape(name)}$" for name in self.exclude],
        )


@keras.saving.register_keras_serializable("bitwright")
class QuantizedNetwork(keras.layers.TorchModuleWrapper):  # type: ignore[misc]
    """A network with fake quantization, of the graph of a Keras model."""

    def __init__(self, made_of: MadeOf, **kwargs: Any) -> None:
        super().__init__(made_of.network(), **kwargs)
        self._made_of = made_of

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The outputs, nested as Keras has them."""
        self.module.train(bool(training))
        named = dict(zip(self._made_of.input_names, keras.tree.flatten(inputs), strict=True))
        made = self.module(**named)
        return self._nested(list(made) if isinstance(made, tuple) else [made])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As the Keras model has it."""
        return self._nested([keras.KerasTensor(shape, dtype=dtype) for shape, dtype in self._made_of.specs])

    def _nested(self, flat: list[Any]) -> Any:
        return keras.tree.map_structure(lambda place: flat[place], self._made_of.structure)

    def save_own_variables(self, store: Any) -> None:
        """Tensors in order: their names have slashes, which are folders in a file of weights."""
        state = self.module.state_dict()
        for place, name in enumerate(_tensors(state)):
            store[str(place)] = keras.ops.convert_to_numpy(state[name])
        store["frozen"] = np.array(list(self.module.get_extra_state().values()))

    def load_own_variables(self, store: Any) -> None:
        """As they were saved."""
        state = self.module.state_dict()
        for place, name in enumerate(_tensors(state)):
            state[name] = keras.ops.convert_to_tensor(np.asarray(store[str(place)]), dtype=str(state[name].dtype)[6:])
        extra = dict(zip(self.module.get_extra_state(), np.asarray(store["frozen"]).tolist(), strict=True))
        self.module.load_state_dict({**state, "_extra_state": extra})

    def get_config(self) -> dict[str, Any]:
        """What makes it anew."""
        return {"name": self.name, **asdict(self._made_of)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> QuantizedNetwork:
        """The layer of a configuration."""
        name = config.pop("name")
        return cls(MadeOf(**config), name=name)


@keras.saving.register_keras_serializable("bitwright")
class QuantizeAwareModel(keras.Model):  # type: ignore[misc]
    """A Keras model that trains as it will run quantized. See `quantize_model`."""

    @property
    def network(self) -> Any:
        """The torch module that it trains: a bitwright Network."""
        return next(layer.module for layer in self.layers if isinstance(layer, QuantizedNetwork))

    def __bitwright__(self) -> Model:
        """The quantized model, with the integers that it was trained with."""
        return convert(self.network)


def quantize_model(to_quantize: Any, quantized_layer_name_prefix: str = _PREFIX) -> Any:
    """A model that trains as it will run once it is quantized to 8 bits.

    Compile it and train it on with a low learning rate. Fake quantization stands where bitwright's planner has
    integers; zeros of pruning stay zeros, shared values of clustering stay shared where no normalization is folded into
    them. Normalizations keep their running statistics; layers for training only (dropout) are not part of it, nor are
    regularizers. The first batch gives the first ranges of activations.

    Args:
        to_quantize: a built Sequential or Functional model, which stays as it is; stripped of pruning and clustering.
        quantized_layer_name_prefix: has no effect: the quantized model is one layer. Another one than tfmot's warns.

    Returns:
        A Keras model with the same inputs and outputs, not compiled. `bitwright.load(model)` and what else takes a
        model take it: `bw.load(model).save("model.tflite")`, or `.onnx`, or TFLiteConverter.from_keras_model(model).

    Raises:
        UsageError: it is no such model.
    """
    return _quantized(to_quantize, (), quantized_layer_name_prefix)


def quantize_apply(model: Any, scheme: Any = None, quantized_layer_name_prefix: str = _PREFIX) -> Any:
    """`quantize_model` for the layers that are annotated: other layers with weights, and what follows them, stay float.

    Args:
        model: with layers of `quantize_annotate_layer`, or of `quantize_annotate_model`.
        scheme: Default8BitQuantizeScheme and those of tfmot.experimental.combine: they are the same here.
        quantized_layer_name_prefix: as `quantize_model` has it.

    Raises:
        UsageError: no layer is annotated, or another scheme.
    """
    check_scheme(scheme)
    if not is_graph(model) or not any(isinstance(layer, QuantizeAnnotate) for layer in model._flatten_layers()):
        raise UsageError(
            "no layer of the model is annotated",
            next="quantize_annotate_layer(layer) or quantize_annotate_model(model); or quantize_model(model) for all",
        )
    plain, left = without_annotations(model)
    return _quantized(plain, left, quantized_layer_name_prefix)


def quantize_scope(*args: Any) -> Any:
    """A scope in which a quantize-aware model is loaded; needed by nothing here, since its classes are registered.

    Args:
        *args: dicts of the user's own classes.
    """
    ours = {cls.__name__: cls for cls in (QuantizeAnnotate, QuantizeAwareModel, QuantizedNetwork)}
    return keras.utils.custom_object_scope({name: cls for given in (*args, ours) for name, cls in given.items()})


def _quantized(model: Any, left: Any, prefix: str) -> QuantizeAwareModel:
    """The model with fake quantization, but for layers that are left."""
    if prefix != _PREFIX:
        warnings.warn(f"quantized_layer_name_prefix={prefix!r} names nothing: the model is one layer", stacklevel=3)
    if not is_graph(model) or not model.built:
        raise UsageError(
            f"a built Sequential or Functional model is quantized, not {type(model).__name__}",
            next="build(input_shape) it; for a subclassed model: bitwright.prepare_qat(model, example_inputs=...)",
        )
    if wrapped := [layer.name for layer in model._flatten_layers() if type(layer).__name__ in _UNSTRIPPED]:
        raise UsageError(
            f"the model is still being pruned or clustered: {', '.join(wrapped[:8])}",
            next="strip_pruning or strip_clustering first",
        )
    graph = load(model).graph
    names = [str(value.name) for value in graph.graph.inputs]
    others = [one for one in model._flatten_layers() if not one._layers and not any(one is layer for layer in left)]
    stay = {str(node.name) for node in prepare(graph).graph}
    exclude = [name for name in nodes_of(graph, left, others) if name in stay] if left else []
    taken = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), taken)
    given, places = model(inputs), iter(range(len(model.outputs)))
    made_of = MadeOf(
        base64.b64encode(Model(graph).to_proto().SerializeToString()).decode(),
        names,
        [(list(tensor.shape), tensor.dtype) for tensor in model.outputs],
        keras.tree.map_structure(lambda _: next(places), given),
        exclude,
    )
    layer = QuantizedNetwork(made_of, name=f"{_PREFIX}{model.name}")
    return QuantizeAwareModel(inputs, layer(inputs), name=model.name)


#: Wrappers of training that are none of a trained model.
_UNSTRIPPED = ("PruneLowMagnitude", "ClusterWeights")


def _tensors(state: dict[str, Any]) -> list[str]:
    return [name for name in state if not name.endswith("_extra_state")]
