"""Concrete functions, tf.functions and SavedModels -> frozen graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitwright.errors import ModelError, UsageError, reason_of
from bitwright.importers.tensorflow.frameworks import import_extra, quiet
from bitwright.importers.tensorflow.graph_def import Frozen, imported, optimized
from bitwright.importers.tensorflow.inference import needs_stripping, strip_training
from bitwright.importers.tensorflow.kinds import SAVED_MODEL_FILES

DEFAULT_SIGNATURE = "serving_default"


def frozen_saved_model(
    tf: Any, path: Path, signature: str | None, outputs: Sequence[str], tags: Sequence[str] | None
) -> Frozen:
    """The frozen graph of one signature of a SavedModel.

    Args:
        tf: the module.
        path: its folder.
        signature: its key; "serving_default", or the only one, by default.
        outputs: names of the signature's outputs that are wanted; all by default.
        tags: of the graph in the SavedModel; "serve" by default.

    Raises:
        ModelError: it cannot be read.
        UsageError: it has no such signature or output.
    """
    folder = path.parent if path.name in SAVED_MODEL_FILES else path
    try:
        with quiet():
            loaded = tf.saved_model.load(str(folder), tags=list(tags) if tags is not None else None)
    except Exception as error:  # OSError, RuntimeError, NotFoundError, DecodeError ...
        raise ModelError(
            f"TensorFlow cannot read the SavedModel: {reason_of(error)}",
            where=str(path),
            next="see what it holds: `saved_model_cli show --dir FOLDER --all`",
        ) from error
    return frozen_trackable(tf, loaded, signature, outputs, str(path))


def frozen_trackable(tf: Any, loaded: Any, signature: str | None, outputs: Sequence[str], where: str | None) -> Frozen:
    """The frozen graph of one signature of what tf.saved_model.load gives.

    Raises:
        UsageError: it has no such signature or output.
    """
    signatures = {key: value for key, value in getattr(loaded, "signatures", {}).items() if not key.startswith("_")}
    if signature is None:
        signature = next(iter(signatures)) if len(signatures) == 1 else DEFAULT_SIGNATURE
    if signature not in signatures:
        raise UsageError(
            f"the SavedModel has no signature {signature!r}",
            where=where,
            next=f"it has: {', '.join(sorted(signatures)) or 'none; give a concrete function of it'}",
        )
    return frozen_function(tf, signatures[signature], where, trackable=loaded, outputs=outputs)


def frozen_function(
    tf: Any,
    function: Any,
    where: str | None,
    *,
    trackable: Any = None,
    outputs: Sequence[str] = (),
    names: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Frozen:
    """The frozen graph of a concrete function, its variables constants.

    Args:
        tf: the module.
        function: a ConcreteFunction, or a tf.function that has an input signature.
        where: what it came from.
        trackable: what holds its variables and tables, where there are tables.
        outputs: names of outputs that are wanted; all by default.
        names: what inputs and outputs are called; by default as the function's signature has it. An output that is
            called as an input is gets `_output` behind its name.

    Raises:
        UsageError: no such output, or a tf.function of no known signature.
        ModelError: it cannot be frozen.
    """
    function = _concrete(function, where)
    captured = {id(tensor) for tensor in function.graph.internal_captures}
    given = [tensor for tensor in function.inputs if id(tensor) not in captured and tensor.dtype != tf.resource]
    results = [tensor for tensor in function.outputs if tensor.dtype != tf.resource]
    called = names or (_input_names(tf, function, given), _output_names(tf, function, results))
    if unknown := sorted(set(outputs) - set(called[1])):
        raise UsageError(f"there is no output {unknown[0]!r}", where=where, next=f"there are: {', '.join(called[1])}")
    renamed = {
        t.name: f"{name}_output" if name in called[0] else name for t, name in zip(results, called[1], strict=True)
    }
    wanted = [t.name for t, name in zip(results, called[1], strict=True) if not outputs or name in outputs]
    renamed |= dict(zip([t.name for t in given], called[0], strict=True))
    inputs = [tensor.name for tensor in given]
    loader = import_extra("tf2onnx.tf_loader", "TensorFlow models")
    try:
        with quiet():
            if trackable is None:
                tables = None
                graph_def = loader.from_function(function, inputs, wanted)
            else:
                graph_def, tables = loader.from_trackable(trackable, function, inputs, wanted, False)
    except Exception as error:
        raise ModelError(
            f"TensorFlow cannot freeze the function: {reason_of(error)}",
            where=where,
            next="a model above 2 GB, or one that changes its variables as it runs, cannot be frozen",
        ) from error
    if needs_stripping(graph_def):
        fed = {name.split(":")[0] for name in inputs}
        stripped = strip_training(tf, imported(tf, graph_def, where), graph_def, fed)
        graph_def = optimized(tf, stripped, inputs, wanted)
    present = {node.name for node in graph_def.node}
    used = [name for name in inputs if name.split(":")[0] in present]
    return Frozen(graph_def, tuple(used), tuple(wanted), {name: renamed[name] for name in (*used, *wanted)}, tables)


def _concrete(function: Any, where: str | None) -> Any:
    if hasattr(function, "structured_outputs"):
        return function
    try:
        return function.get_concrete_function()
    except Exception as error:
        raise UsageError(
            "a tf.function without an input signature can be traced in many ways",
            where=where,
            next="give function.get_concrete_function(tf.TensorSpec(shape, dtype, name=...))",
        ) from error


def _input_names(tf: Any, function: Any, given: Sequence[Any]) -> list[str]:
    """As the arguments are called."""
    specs = [spec for spec in tf.nest.flatten(function.structured_input_signature) if isinstance(spec, tf.TensorSpec)]
    told = [spec.name for spec in specs] if len(specs) == len(given) else []
    return [name or _plain(t.name) for t, name in zip(given, told or [None] * len(given), strict=True)]


def _output_names(tf: Any, function: Any, results: Sequence[Any]) -> list[str]:
    """Keys of a dict of outputs, in the order in which TensorFlow flattens them; else the names of the tensors."""
    structure = function.structured_outputs
    if isinstance(structure, dict) and len(structure) == len(results):
        return sorted(structure)
    return [_plain(tensor.name) for tensor in results]


def _plain(name: str) -> str:
    return name.removesuffix(":0").replace(":", "_")
