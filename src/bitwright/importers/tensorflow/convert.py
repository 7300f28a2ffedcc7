"""A frozen TensorFlow graph -> Graph, by tf2onnx."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from bitwright.errors import ModelError, UnsupportedOpError, UsageError, reason_of
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.tensorflow.frameworks import import_extra, import_tensorflow, quiet
from bitwright.importers.tensorflow.graph_def import Frozen
from bitwright.importers.tensorflow.naming import in_one_order, settle

#: The newest operator set that tf2onnx writes.
OPSET = 18
#: Nodes of TensorFlow 1's loops.
_LOOP = frozenset({"Enter", "Exit", "Switch", "Merge", "NextIteration", "LoopCond"})
_STANDARD = frozenset({"", "ai.onnx"})


def to_graph(frozen: Frozen, where: str | None) -> ir.Model:
    """The graph in ONNX's vocabulary; ports are called what the frozen graph's `names` say.

    Raises:
        UnsupportedOpError: operators without a counterpart in ONNX, all of them.
        ModelError: tf2onnx cannot convert the graph.
        UsageError: it depends on a placeholder that is not among its inputs.
        MissingDependencyError: tf2onnx is not installed.
    """
    tf = import_tensorflow()
    with quiet(), in_one_order():
        tfonnx = import_extra("tf2onnx.tfonnx", "TensorFlow models")
        optimizer = import_extra("tf2onnx.optimizer", "TensorFlow models")
        # It numbers names on and on; statistics of a model have to fit when the same model is read again.
        import_extra("tf2onnx.utils", "TensorFlow models").INTERNAL_NAME = 1
        try:
            with tf.Graph().as_default() as graph:
                tf.import_graph_def(frozen.graph_def, name="")
                converted = tfonnx.process_tf_graph(
                    graph,
                    continue_on_error=True,
                    opset=OPSET,
                    input_names=list(frozen.inputs),
                    output_names=list(frozen.outputs),
                    tensors_to_rename=dict(frozen.names),
                    initialized_tables=frozen.tables,
                )
                model = optimizer.optimize_graph(converted, catch_errors=True).make_model("bitwright")
        except Exception as error:
            raise ModelError(
                f"tf2onnx cannot convert the graph: {reason_of(error)}",
                where=where,
                next="try `python -m tf2onnx.convert` by itself; inputs= and outputs= cut a .pb to what matters",
            ) from error
    _refuse_unknown(model, where)
    _refuse_unfed(model, frozen, where)
    loaded = load_onnx(model)
    settle(loaded, {node.name for node in frozen.graph_def.node})
    return loaded


def _refuse_unknown(model: Any, where: str | None) -> None:
    """Refuse what tf2onnx left as TensorFlow's operators."""
    import onnx

    found: dict[str, list[str]] = {}
    for node in _nodes(model.graph):
        if node.domain in _STANDARD and not onnx.defs.has(node.op_type, OPSET):
            found.setdefault(node.op_type, []).append(node.name)
    if not found:
        return
    kinds = ", ".join(f"{kind} ({len(names)})" for kind, names in sorted(found.items()))
    first = next(iter(found.values()))[0]
    if _LOOP & set(found):
        raise UnsupportedOpError(
            f"the graph holds a loop that is not an LSTM or GRU as TensorFlow writes them: {kinds}",
            where=f"{where or 'the graph'}, node {first!r}",
            next="give inputs= and outputs= behind or before the loop, or export the model with unroll=True",
        )
    raise UnsupportedOpError(
        f"operators of TensorFlow without a counterpart in ONNX: {kinds}",
        where=f"{where or 'the graph'}, node {first!r}",
        next="cut them away: inputs= and outputs= name the nodes between which the network lies",
    )


def _refuse_unfed(model: Any, frozen: Frozen, where: str | None) -> None:
    """Refuse placeholders that would be inputs which nobody asked for."""
    names = {frozen.names.get(name, name) for name in frozen.inputs}
    if unfed := [value.name.removesuffix(":0") for value in model.graph.input if value.name not in names]:
        raise UsageError(
            f"the outputs depend on the placeholder {unfed[0]!r}, which is none of the inputs",
            where=where,
            next=f"name it in inputs= as well: {','.join([*sorted(names), *unfed])}; or name nodes behind it",
        )


def _nodes(graph: Any) -> list[Any]:
    """All nodes, those of inner graphs too."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found += _nodes(inner) if inner.node else []
    return found
