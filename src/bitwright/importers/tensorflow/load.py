"""One door for TensorFlow's and Keras's models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.errors import UsageError
from bitwright.importers.tensorflow.convert import to_graph
from bitwright.importers.tensorflow.frameworks import import_tensorflow
from bitwright.importers.tensorflow.functions import frozen_function, frozen_saved_model, frozen_trackable
from bitwright.importers.tensorflow.graph_def import cut, read_graph_def
from bitwright.importers.tensorflow.keras_models import keras_graph, read_keras
from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.importers.tensorflow.process import is_free, read_in_process


def load_tensorflow(
    source: Any,
    *,
    example_inputs: Any = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    signature: str | None = None,
    tags: Sequence[str] | None = None,
    here: bool = False,
) -> ir.Model:
    """A graph of a model of TensorFlow or Keras, without variables, dropout and what else is for training.

    A file is read by a process of its own, where this one has not imported TensorFlow or Keras before.

    Args:
        source: a SavedModel's folder, a .keras, .h5 or .pb file, a keras.Model, a tf.function or concrete function,
            what tf.saved_model.load gives, or a GraphDef. Left as it is.
        example_inputs: for a subclassed Keras model.
        inputs: for a GraphDef, names of nodes that are fed instead of computed; by default the placeholders that the
            outputs need, those that have a default aside.
        outputs: for a GraphDef, names of nodes that are wanted; for a SavedModel, of outputs of the signature.
        signature: for a SavedModel.
        tags: for a SavedModel.
        here: read a file in this process whatever it has imported.

    Raises:
        ModelError: it cannot be read or converted.
        UnsupportedOpError: operators without a counterpart in ONNX, all of them.
        UsageError: a name that it does not have, or arguments that it has no use for.
        MissingDependencyError: TensorFlow, Keras or tf2onnx is not installed.
    """
    where = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    inputs, outputs = ((names,) if isinstance(names, str) else tuple(names) for names in (inputs, outputs))
    kind = kind_of(source)
    _check(kind, where, inputs=inputs, outputs=outputs, signature=signature)
    if where is not None and example_inputs is None and not here and is_free() and Path(where).exists():
        return read_in_process(where, {"inputs": inputs, "outputs": outputs, "signature": signature, "tags": tags})
    if kind in ("keras", "keras_file"):
        model = read_keras(Path(source)) if kind == "keras_file" else source
        return keras_graph(model, example_inputs, where)
    tf = import_tensorflow()
    if kind == "saved_model":
        return to_graph(frozen_saved_model(tf, Path(source), signature, outputs, tags), where)
    if kind == "loaded":
        return to_graph(frozen_trackable(tf, source, signature, outputs, where), where)
    if kind == "function":
        return to_graph(frozen_function(tf, source, where, outputs=outputs), where)
    graph_def = read_graph_def(tf, Path(source)) if kind == "graph_def_file" else source
    return to_graph(cut(tf, graph_def, inputs, outputs, where), where)


def _check(
    kind: str | None, where: str | None, *, inputs: Sequence[str], outputs: Sequence[str], signature: str | None
) -> None:
    """Refuse arguments that this kind of model has no use for."""
    cut_at_inputs, signed = ("graph_def", "graph_def_file"), ("saved_model", "loaded")
    for name, given, kinds, what in (
        ("inputs", inputs, cut_at_inputs, "a frozen GraphDef"),
        ("outputs", outputs, (*cut_at_inputs, *signed, "function"), "a GraphDef, a SavedModel or a function"),
        ("signature", signature, signed, "a SavedModel"),
    ):
        if given and kind not in kinds:
            raise UsageError(
                f"{name}= is for {what}",
                where=where,
                next="leave it out; `bitwright transform --transforms 'strip_unused_nodes'` cuts any model",
            )
