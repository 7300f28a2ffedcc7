"""Keras models, in files and in memory, of Keras 3 on any backend and of tf_keras -> frozen graphs or ONNX."""

from __future__ import annotations

import itertools
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.errors import BitwrightError, ModelError, UsageError, reason_of
from bitwright.graph.naming import free_name
from bitwright.importers.tensorflow.convert import to_graph
from bitwright.importers.tensorflow.frameworks import import_extra, import_tensorflow, quiet
from bitwright.importers.tensorflow.functions import frozen_function
from bitwright.importers.tensorflow.process import read_in_process
from bitwright.importers.torch_module import load_torch


def read_keras(path: Path) -> Any:
    """The model of a .keras or .h5 file.

    Files of Keras 2 that Keras 3 cannot read are read by tf_keras.

    Raises:
        ModelError: it cannot be read.
        MissingDependencyError: Keras, or tf_keras where it is needed, is not installed.
    """
    if not path.is_file():
        raise ModelError("the model file does not exist", where=str(path), next="check the path")
    import_tensorflow()
    keras = import_extra("keras", "Keras models")
    try:
        with quiet():
            return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a layer's constructor raises on a config that it does not know
        if path.suffix.lower() == ".keras" and not _is_of_keras_2(path):
            raise _unreadable(path, error) from error
        first = error
    legacy = import_extra("tf_keras", f"Keras 2 files such as {path.name!r}")
    try:
        with quiet():
            return legacy.models.load_model(path, compile=False)
    except Exception as error:
        raise _unreadable(path, error) from first


def _is_of_keras_2(path: Path) -> bool:
    """Whether a .keras file says that Keras 2, whose own files these are too, wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"]).startswith("2.")
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
        return False


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"Keras cannot read the file: {reason_of(error)}",
        where=str(path),
        next="a file of weights alone is no model; a model of your own layers is given in memory instead of its file",
    )


def keras_graph(model: Any, example_inputs: Any, where: str | None) -> ir.Model:
    """A Keras model as a graph; its inputs and outputs are called as Keras calls them.

    Args:
        model: keras.Model or tf_keras.Model, built.
        example_inputs: what a subclassed model takes: arrays, a list, or a dict by name.
        where: its file.

    Raises:
        ModelError: it cannot be converted.
        UsageError: a subclassed model of unknown inputs.
    """
    backend = _backend(model)
    if backend == "tensorflow":
        return _through_tensorflow(model, example_inputs, where)
    if backend == "torch":
        return _through_torch(model, example_inputs, where)
    return _reread(model, where)


def _backend(model: Any) -> str:
    return "tensorflow" if _is_legacy(model) else str(import_extra("keras", "Keras models").backend.backend())


def _is_legacy(model: Any) -> bool:
    return any(cls.__module__.split(".")[0] == "tf_keras" for cls in type(model).__mro__)


def _through_tensorflow(model: Any, example_inputs: Any, where: str | None) -> ir.Model:
    tf = import_tensorflow()
    # Each Keras has its own order of nested inputs and outputs, in which it names them.
    tree = tf.nest if _is_legacy(model) else import_extra("keras", "Keras models").tree
    structure = _structure(tf, tree, model, example_inputs, where)
    flat = tree.flatten(structure)

    def call(*tensors: Any) -> Any:
        return tree.flatten(model(tree.pack_sequence_as(structure, tensors), training=False))

    try:
        with quiet():
            function = tf.function(call, autograph=False).get_concrete_function(*flat)
    except Exception as error:
        raise ModelError(
            f"Keras cannot trace the model: {reason_of(error)}",
            where=where,
            next="call it once on an example of its inputs, and give example_inputs",
        ) from error
    results = len([tensor for tensor in function.outputs if tensor.dtype != tf.resource])
    names = ([spec.name for spec in flat], output_names(model, results))
    return to_graph(frozen_function(tf, function, where, names=names), where)


def _structure(tf: Any, tree: Any, model: Any, example_inputs: Any, where: str | None) -> Any:
    """What the model is called with, as TensorSpecs."""
    if example_inputs is None and getattr(model, "inputs", None):
        names = input_names(model)
        specs = [tf.TensorSpec(tuple(t.shape), t.dtype, name=name) for t, name in zip(model.inputs, names, strict=True)]
        like = getattr(model, "_inputs_struct", None)
        if like is None:  # tf_keras
            like = getattr(model, "_nested_inputs", specs if len(specs) > 1 else specs[0])
        return tree.pack_sequence_as(like, specs) if tree.is_nested(like) else specs[0]
    if example_inputs is None:
        return _structure_of_built(tf, model, where)
    counter = itertools.count()

    def spec(value: Any) -> Any:
        import numpy as np

        array = np.asarray(value)
        index = next(counter)
        shape = (None, *array.shape[1:]) if array.ndim else ()
        double = array.dtype == np.float64 and getattr(model, "compute_dtype", None) != "float64"
        dtype = np.dtype(np.float32) if double else array.dtype  # as Keras takes numpy's doubles
        return tf.TensorSpec(shape, dtype, name="input" if index == 0 else f"input_{index}")

    structure = tree.map_structure(spec, example_inputs)
    if isinstance(structure, dict):
        structure = {key: tf.TensorSpec(value.shape, value.dtype, name=key) for key, value in structure.items()}
    return structure


def _structure_of_built(tf: Any, model: Any, where: str | None) -> Any:
    """Of a subclassed model that was called or built: the shape that it saw, its batch free."""
    if hasattr(model, "save_spec"):  # tf_keras keeps what it was called with
        spec = model.save_spec(dynamic_batch=True)
        if spec is not None and len(spec[0]) == 1 and isinstance(spec[0][0], tf.TensorSpec):
            return tf.TensorSpec(spec[0][0].shape, spec[0][0].dtype, name="input")
    shape = _built_shape(model, where)
    return tf.TensorSpec((None, *shape[1:]), getattr(model, "compute_dtype", "float32"), name="input")


def _through_torch(model: Any, example_inputs: Any, where: str | None) -> ir.Model:
    """On its torch backend a Keras model is an nn.Module."""
    keras = import_extra("keras", "Keras models")
    names = input_names(model) if getattr(model, "inputs", None) else []
    traced = model
    if names and example_inputs is None:  # its inputs as a list, however it nests them
        traced = keras.Model(list(model.inputs), list(model.outputs))
        given = [_zeros(tensor.shape, tensor.dtype) for tensor in model.inputs]
        example_inputs = given if len(given) > 1 else given[0]
    elif example_inputs is None:
        example_inputs = _zeros(_built_shape(model, where), model.compute_dtype)
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, example_inputs)
    graph = load_torch(traced, tensors if isinstance(tensors, dict) else (tensors,))
    _rename(graph.graph.inputs, names)
    _rename(graph.graph.outputs, output_names(model, len(graph.graph.outputs)))
    return graph


def _zeros(shape: Sequence[int | None], dtype: str) -> Any:
    """An example of a shape; tracing wants two of what is free."""
    import numpy as np

    return np.zeros([size or 2 for size in shape], dtype)


def _built_shape(model: Any, where: str | None) -> Sequence[int | None]:
    """The shape that a subclassed model of one input was built for.

    Raises:
        UsageError: it was not built yet, or has several inputs.
    """
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else None
    if not isinstance(shape, tuple | list) or any(isinstance(size, tuple | list | dict) for size in shape):
        raise UsageError(
            "the inputs of a subclassed model are not known before it is called",
            where=where or type(model).__name__,
            next="give example_inputs: an array, a list of arrays, or a dict by name",
        )
    return shape


def _reread(model: Any, where: str | None) -> ir.Model:
    """On other backends (JAX): its file, read on TensorFlow by another process: Keras has one backend a process."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        try:
            model.save(saved)
        except Exception as error:
            raise ModelError(f"Keras cannot save the model: {reason_of(error)}", where=where) from error
        try:
            return read_in_process(str(saved), {}, environment={"KERAS_BACKEND": "tensorflow"})
        except BitwrightError as error:
            error.where = where
            error.next = "layers of your own need keras.saving.register_keras_serializable in an installed module"
            raise


def input_names(model: Any) -> list[str]:
    """As Keras calls them, each once."""
    named = getattr(model, "input_names", None)
    return unique([str(name) for name in named or [tensor.name for tensor in model.inputs]])


def output_names(model: Any, count: int) -> list[str]:
    """As Keras calls them, each once; `output_0` and so on of a subclassed model."""
    model = getattr(model, "_functional", None) or model  # what a Sequential is made of
    named = [str(name) for name in getattr(model, "output_names", None) or ()]
    taken = set(input_names(model)) if getattr(model, "inputs", None) else set()
    named = named if len(named) == count else [f"output_{index}" for index in range(count)]
    return [f"{name}_output" if name in taken else name for name in unique(named)]


def unique(names: Sequence[str]) -> list[str]:
    """The names, repeated ones numbered.

    >>> unique(["x", "y", "x"])
    ['x', 'y', 'x_1']
    """
    taken: set[str] = set()
    return [free_name(name, taken) for name in names]


def _rename(values: Sequence[ir.Value], names: Sequence[str]) -> None:
    if len(values) == len(names):
        for value, name in zip(values, names, strict=True):
            value.name = name
