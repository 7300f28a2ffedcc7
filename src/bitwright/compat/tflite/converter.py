"""TFLiteConverter: TensorFlow Lite's converter on bitwright's load, quantize and lower."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

from bitwright.api import quantize
from bitwright.calibration.statistics import Statistics
from bitwright.compat.several import several
from bitwright.compat.tflite.asked import Asked, asked_by
from bitwright.compat.tflite.attributes import Attributes
from bitwright.compat.tflite.source import Source, samples_of
from bitwright.errors import UnsupportedOpError, UsageError
from bitwright.model import Model

_SERVE = "serve"


class TFLiteConverter(Attributes):
    """Turns a model into the bytes of a .tflite file. Made by one of the `from_` methods.

    What its attributes ask for:

    - nothing: float.
    - optimizations=[Optimize.DEFAULT]: dynamic range: int8 weights, activations quantized as they arrive.
    - with target_spec.supported_types=[tf.float16]: float16 weights.
    - with representative_dataset: int8, what has no integer form stays float; the ports are float unless
      inference_input_type and inference_output_type say int8 or uint8.
    - with target_spec.supported_ops=[OpsSet.TFLITE_BUILTINS_INT8] (or supported_types=[tf.int8]) as well: int8, or an
      error that lists every node without an integer form; with EXPERIMENTAL_..._ACTIVATIONS_INT16_WEIGHTS_INT8
      likewise for int16 activations. Beside TFLITE_BUILTINS such nodes stay float.
    - OPTIMIZE_FOR_SIZE: int8 weights, float arithmetic. OPTIMIZE_FOR_LATENCY: as DEFAULT.
    - inference_type=tf.uint8 (TensorFlow 1): uint8, ports too; ranges come from representative_dataset, or
      quantized_input_stats and default_ranges_stats tell them. A quantized_input_stats entry (mean, std) says
      real = (q - mean) / std.
    - post_training_quantize=True (TensorFlow 1): optimizations=[Optimize.DEFAULT].

    Ranges are chosen as `bitwright.quantize` does for LiteRT: by least squared error, where TensorFlow takes the lowest
    and highest value. A free batch becomes 1.

    Attributes of TensorFlow's converter that change nothing here are taken (and warned about, where TensorFlow would
    have done something); a name that neither has is an error.

    After `convert`, `report` is what `bitwright.quantize` reported, None for a float model.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        for name in ("_source", "_model", "report"):
            object.__setattr__(self, name, source if name == "_source" else None)

    @classmethod
    def from_saved_model(
        cls,
        saved_model_dir: str | os.PathLike[str],
        signature_keys: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        *,
        input_arrays: Sequence[str] | None = None,
        input_shapes: Mapping[str, Sequence[int] | None] | None = None,
        output_arrays: Sequence[str] | None = None,
    ) -> Self:
        """Of a SavedModel folder.

        Args:
            saved_model_dir: the folder.
            signature_keys: the signature, one; the folder's only one, or serving_default, otherwise.
            tags: {"serve"} or nothing.
            input_arrays, output_arrays: names to cut the graph at.
            input_shapes: by input name; free dimensions are given numbers.

        Raises:
            UsageError: several signatures, or other tags.
        """
        keys = several(signature_keys)
        if len(keys) > 1:
            raise UsageError(f"a file is written of one signature, not of {', '.join(keys)}", next="convert each")
        if other := sorted(set(several(tags)) - {_SERVE}):
            raise UsageError(f"graphs tagged {', '.join(other)} are not read", next=f'tags={{"{_SERVE}"}}')
        options = {
            "signature": keys[0] if keys else None,
            "inputs": several(input_arrays),
            "outputs": several(output_arrays),
        }
        return cls(Source(saved_model_dir, options, dict(input_shapes or {})))

    @classmethod
    def from_keras_model(cls, model: Any) -> Self:
        """Of a keras.Model in memory, Keras 2 or 3."""
        return cls(Source(model))

    @classmethod
    def from_concrete_functions(cls, funcs: Sequence[Any], trackable_obj: Any = None) -> Self:
        """Of a concrete function.

        Args:
            funcs: one of them.
            trackable_obj: not needed: variables are taken from the function.

        Raises:
            UsageError: several functions.
        """
        given = list(funcs) if isinstance(funcs, (list, tuple)) else [funcs]
        if len(given) != 1:
            raise UsageError(f"a file is written of one function, not of {len(given)}", next="convert each")
        return cls(Source(given[0]))

    @classmethod
    def from_keras_model_file(
        cls,
        model_file: str | os.PathLike[str],
        input_arrays: Sequence[str] | None = None,
        input_shapes: Mapping[str, Sequence[int] | None] | None = None,
        output_arrays: Sequence[str] | None = None,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> Self:
        """Of a .h5 or .keras file.

        Args:
            model_file: its path.
            input_arrays, output_arrays: names to cut the graph at.
            input_shapes: by input name; free dimensions are given numbers.
            custom_objects: refused: load the model with them, and give it to `from_keras_model`.

        Raises:
            UsageError: custom objects.
        """
        if custom_objects:
            raise UsageError(
                "custom objects are not handed to Keras here",
                next="from_keras_model(keras.models.load_model(model_file, custom_objects=...))",
            )
        options = {"inputs": several(input_arrays), "outputs": several(output_arrays)}
        return cls(Source(model_file, options, dict(input_shapes or {})))

    @classmethod
    def from_frozen_graph(
        cls,
        graph_def_file: str | os.PathLike[str],
        input_arrays: Sequence[str],
        output_arrays: Sequence[str],
        input_shapes: Mapping[str, Sequence[int] | None] | None = None,
    ) -> Self:
        """Of a .pb file with a frozen GraphDef.

        Args:
            graph_def_file: its path.
            input_arrays, output_arrays: names of nodes; the graph is cut there.
            input_shapes: by input name; free dimensions are given numbers.
        """
        options = {"inputs": several(input_arrays), "outputs": several(output_arrays)}
        return cls(Source(graph_def_file, options, dict(input_shapes or {})))

    @classmethod
    def from_onnx(cls, model: Any) -> Self:
        """Of an .onnx file or an onnx.ModelProto."""
        return cls(Source(model))

    @classmethod
    def from_torch(cls, module: Any, example_inputs: Any) -> Self:
        """Of a torch.nn.Module.

        Args:
            module: in any mode; it is exported as it is in eval mode.
            example_inputs: what its forward takes: a tensor, a tuple, or a dict by argument name.
        """
        return cls(Source(module, {"example_inputs": example_inputs}))

    @classmethod
    def from_session(cls, sess: Any, input_tensors: Any, output_tensors: Any) -> Self:
        """Refused: a session holds variables that only TensorFlow 1 can freeze.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "models are not taken out of sessions",
            next="save it with tf.compat.v1.saved_model.simple_save, then from_saved_model; or freeze it, then "
            "from_frozen_graph",
        )

    def get_input_arrays(self) -> list[str]:
        """Names of the model's inputs, as quantized_input_stats takes them."""
        return [str(value.name) for value in self._loaded().graph.graph.inputs]

    def convert(self) -> bytes:
        """The bytes of the .tflite file.

        Raises:
            UsageError: attributes that contradict each other or lack what they need.
            ModelError: the model cannot be read.
            SampleError: a sample does not fit the model's inputs.
            UnsupportedOpError: nodes that no built-in operator, or with integers alone no integer one, stands for: all
                of them, each with its reason.
        """
        asked = asked_by(self, is_trained=self._is_trained)
        for sentence in asked.unused:
            warnings.warn(sentence, stacklevel=2)
        if asked.mode is None or self._is_trained:
            small = self._loaded().with_ports(asked.input_type, asked.output_type)
            if asked.strict:
                _refuse_floats(small)
        else:
            small = self._quantized(asked)
        for name, value in (("report", small.report), ("_model", None)):  # it may train on until the next conversion
            object.__setattr__(self, name, value)
        return small.to_tflite()

    @property
    def _is_trained(self) -> bool:
        """Whether the model was trained as it runs quantized: its parameters are chosen, as tfmot's guide has it."""
        return hasattr(self._source.what, "__bitwright__")

    def _quantized(self, asked: Asked, exclude: Sequence[str] = (), statistics: Statistics | None = None) -> Model:
        """The model that is written; nodes whose names match `exclude` stay float."""
        assert asked.mode is not None
        calibrates = asked.calibrated and statistics is None
        return quantize(
            self._loaded(),
            asked.mode,
            target="litert",
            calibration=samples_of(self.representative_dataset) if calibrates else None,
            statistics=statistics,
            per_channel=asked.per_channel,
            exclude=exclude,
            strict=asked.strict,
            input_stats=asked.input_stats,
            default_ranges=asked.default_ranges,
            input_type=asked.input_type,
            output_type=asked.output_type,
        )

    def _loaded(self) -> Model:
        """The model; read once a conversion."""
        if self._model is None:
            object.__setattr__(self, "_model", self._source.load())
        assert self._model is not None
        return self._model

    _source: Source
    _model: Model | None
    report: Any


def _refuse_floats(model: Model) -> None:
    left = [] if model.plan is None else model.plan.float_nodes()
    if left:
        raise UnsupportedOpError(
            f"{len(left)} nodes of the trained model are float, and target_spec asks for integers alone",
            where=", ".join(f"{node.op} {node.name}" for node in left),
            next="train without them, or add OpsSet.TFLITE_BUILTINS",
        )
