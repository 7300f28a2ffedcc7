"""Older models brought to a current ONNX operator set, by the adapters of `opset_adapters`.

Only the nodes whose operator changed its signature or meaning are touched; no constant is read or copied.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from bitwright.errors import BitwrightError, ModelError
from bitwright.importers.opset_adapters import ADAPTERS, Editor
from bitwright.importers.structure import describe

#: Operators before this set broadcast, and took their settings, in ways of their own; ONNX Runtime starts here too.
OLDEST_OPSET = 7
#: ONNX 1.16, the release of operator set 21.
MINIMUM_IR_VERSION = 10


def to_current_opset(model: ir.Model, *, minimum: int = 21) -> ir.Model:
    """The model with its ONNX operators at set `minimum` or newer, meaning the same.

    A model that is there already is returned as it is, else a copy that shares the constants. Names of values,
    inputs, outputs and nodes are kept; other domains are left alone.

    Args:
        model: as `onnx_file.load_onnx` gives it.
        minimum: the operator set wanted, at most 21: the adapters end there.

    Raises:
        ModelError: an operator has no counterpart, or is older than set 7 and changed until then.
    """
    version = onnx_opset(model)
    if version >= minimum:
        return model
    if version < OLDEST_OPSET:
        _refuse_changed_before_oldest(model, version, minimum)
    model = model.clone()
    editor = Editor(model)
    for node in list(model.graph.all_nodes()):
        if node.domain == "":
            _adapt(node, version, minimum, editor)
    model.graph.opset_imports[""] = minimum
    if model.ir_version < 4:
        _constants_are_not_inputs(model.graph)
    model.ir_version = max(model.ir_version, MINIMUM_IR_VERSION)
    return model


def to_oldest_container(model: ir.Model) -> ir.Model:
    """The model in the oldest container version that its operator sets allow, 10 at least: runtimes lag behind.

    Raises:
        ModelError: the operator set is newer than any that is known.
    """
    newest, version = onnx.defs.onnx_opset_version(), model.opset_imports.get("", 0)
    if version > newest:
        raise ModelError(
            f"operator set {version} is not known: the newest is {newest}",
            next="export the model for an older one, or install a newer onnx",
        )
    if version < 1:
        return model
    wanted = [onnx.helper.make_opsetid("", version)]
    needed = max(onnx.helper.find_min_ir_version_for(wanted, ignore_unknown=True), MINIMUM_IR_VERSION)
    if model.ir_version <= needed:
        return model
    model = model.clone()
    model.ir_version = needed
    return model


def onnx_opset(model: ir.Model) -> int:
    """The operator set of the ONNX domain; the oldest when nothing of that domain is used.

    Raises:
        ModelError: nodes of the ONNX domain, but no operator set for them.
    """
    version = model.graph.opset_imports.get("")
    if version is not None:
        return version
    for node in model.graph.all_nodes():
        if node.domain == "":
            raise ModelError(
                "the model does not say which operator set of ONNX it uses",
                where=describe(node),
                next="export the model again",
            )
    return OLDEST_OPSET


def _refuse_changed_before_oldest(model: ir.Model, version: int, minimum: int) -> None:
    for node in model.graph.all_nodes():
        if node.domain == "" and onnx.defs.has(node.op_type, ""):
            changed = onnx.defs.get_schema(node.op_type, OLDEST_OPSET, "").since_version
            if changed > version:
                raise ModelError(
                    f"operator {node.op_type} of set {version} is older than the oldest that can be read, {changed}",
                    where=describe(node),
                    next=f"export the model again at operator set {minimum} or newer",
                )


def _adapt(node: ir.Node, version: int, minimum: int, editor: Editor) -> None:
    """Apply the adapters between the two sets, oldest first; one may rename the operator and so lead to others."""
    reached = version
    while reached < minimum:
        steps = [step for step in ADAPTERS.get(node.op_type, ()) if reached < step.introduced <= minimum]
        if not steps:
            return
        step = min(steps, key=lambda s: s.introduced)
        try:
            step.adapt(node, editor)
        except BitwrightError as error:
            error.where = describe(node)
            error.next = f"export the model again at operator set {minimum} or newer"
            raise
        except Exception as error:  # a node that lacks what its operator must have
            reason = f"it has no attribute {error}" if isinstance(error, KeyError) else error
            raise ModelError(
                f"operator {node.op_type} of set {version} could not be brought to set {minimum}: {reason}",
                where=describe(node),
                next=f"export the model again at operator set {minimum} or newer",
            ) from error
        reached = step.introduced


def _constants_are_not_inputs(graph: ir.Graph) -> None:
    """Before IR version 4 every constant had to be listed as an input too, meaning nothing by it."""
    kept = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(kept)
