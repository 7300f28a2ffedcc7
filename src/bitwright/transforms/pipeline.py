"""Transforms one after another on a copy of a graph: as a text asks, or as every quantization needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

from bitwright.errors import BitwrightError, TransformError
from bitwright.transforms.fold_batch_norms import fold_batch_norms
from bitwright.transforms.fold_constants import fold_constants, has_foldable
from bitwright.transforms.fuse_matmul_add import fuse_matmul_add
from bitwright.transforms.fuse_recurrent import fuse_recurrent
from bitwright.transforms.grammar import Call, parse_transforms
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.name_nodes import name_nodes
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.registry import TRANSFORMS, read_arguments, transform_named
from bitwright.transforms.remove_identities import remove_identities
from bitwright.transforms.shapes import infer_shapes
from bitwright.transforms.sink_transposes import sink_transposes
from bitwright.transforms.split_output_constants import split_output_constants
from bitwright.transforms.split_shared_biases import split_shared_biases
from bitwright.transforms.strip_unused_nodes import check_names, main_values, strip_unused_nodes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One transform that was run.

    Args:
        name: of the transform.
        modified: whether the graph changed.
        message: what was done, what was declined and why; or the error that was ignored.
    """

    name: str
    modified: bool
    message: str = ""


@dataclass(frozen=True)
class TransformResult:
    """The new graph and what each step did to it."""

    model: ir.Model
    steps: tuple[Step, ...]

    @property
    def modified(self) -> bool:
        """Whether any step changed the graph."""
        return any(step.modified for step in self.steps)


def available() -> dict[str, str]:
    """Every transform's name and what it does, in one line."""
    return {name: TRANSFORMS[name].description for name in sorted(TRANSFORMS)}


def apply_transforms(
    model: ir.Model, text: str, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> TransformResult:
    """Run the transforms of a text, in order, on a copy of the graph that shares its constants.

    Args:
        model: left as it was, whatever happens.
        text: `name(argument=value, ...) name ...`; every transform takes `ignore_errors=true`.
        inputs: values that matter: they keep their names, and `strip_unused_nodes` cuts the graph at them.
        outputs: likewise.

    Raises:
        TransformError: the text cannot be read, a transform or value is unknown, or a transform fails.
    """
    calls = parse_transforms(text)
    places = [f"position {call.position} of the list of transforms" for call in calls]
    arguments = [
        read_arguments(call.name, call.arguments, where=where)
        for call, where in zip(calls, places, strict=True)
        if transform_named(call.name, where=where)
    ]
    check_names(main_values(model), tuple(dict.fromkeys((*inputs, *outputs))))
    work = copy_of(model)
    steps: list[Step] = []
    for call, given, where in zip(calls, arguments, places, strict=True):
        work, step = apply_call(call, work, given, where, inputs=inputs, outputs=outputs)
        steps.append(step)
    return TransformResult(work, tuple(steps))


def apply_call(
    call: Call,
    model: ir.Model,
    arguments: dict[str, object],
    where: str,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> tuple[ir.Model, Step]:
    """One call of a text, in place; the graph as it was where its error is ignored.

    Args:
        call: of a transform of the registry.
        model: changed in place, and given back unless an error was ignored.
        arguments: of `read_arguments`.
        where: the call, for errors.
        inputs, outputs: as `apply_transforms` takes them.

    Raises:
        TransformError: the transform fails.
    """
    if TRANSFORMS[call.name].cuts:
        arguments = {"inputs": tuple(inputs), "outputs": tuple(outputs), **arguments}
    pinned = () if TRANSFORMS[call.name].cuts else tuple(dict.fromkeys((*inputs, *outputs)))
    saved = copy_of(model) if call.ignore_errors else None
    try:
        with kept_visible(model, pinned):
            outcome = run(call, model, arguments, where)
    except TransformError as error:
        if saved is None:
            raise
        return saved, Step(call.name, False, f"error ignored: {error.what}")
    return model, Step(call.name, outcome.modified, outcome.message)


def run(call: Call, model: ir.Model, arguments: dict[str, object], where: str) -> Outcome:
    """One call of the text.

    Raises:
        TransformError: the transform fails, in whatever way.
    """
    try:
        return TRANSFORMS[call.name].function(model, **arguments)
    except BitwrightError as error:
        raise TransformError(f"{call.name}: {error.what}", where=error.where or where, next=error.next) from error
    except Exception as error:  # onnx_ir's and onnxscript's passes raise errors of many kinds on odd graphs
        raise TransformError(
            f"{call.name} failed on this graph: {str(error).strip().splitlines()[0][:300] if str(error) else error!r}",
            where=where,
            next=f"go on without it: {call.name}(ignore_errors=true)",
        ) from error


def prepare(model: ir.Model, *, keep_trainable: bool = False) -> ir.Model:
    """What a quantization needs before it: constants found, normalizations folded, a bias and a name for every node.

    Works on a copy; constants are shared with the given model except those that folding makes anew.

    Args:
        model: left as it was.
        keep_trainable: leave normalizations that training folds, see `fold_batch_norms`.
    """
    work = copy_of(model)
    if any(value.is_initializer() for graph in work.graphs() for value in graph.inputs):
        RemoveInitializersFromInputsPass()(work)
    lift_constants(work)
    infer_shapes(work)
    if has_foldable(work):
        try:
            fold_constants(work)
        except TransformError as error:  # an operator that cannot be computed here can still be computed there
            log.info("constants are left as they are: %s", error)
            work = copy_of(model)
            RemoveInitializersFromInputsPass()(work)
            lift_constants(work)
            infer_shapes(work)
    fuse_recurrent(work)
    remove_identities(work)
    work = _with_fewer_transposes(work)
    fold_batch_norms(work, keep_trainable=keep_trainable)
    fuse_matmul_add(work)
    split_output_constants(work)
    split_shared_biases(work)
    strip_unused_nodes(work)
    infer_shapes(work)
    name_nodes(work)
    return work


def _with_fewer_transposes(work: ir.Model) -> ir.Model:
    """With Transposes moved, where fewer are left then: exporters put them around layers whose channels are last."""

    def count(model: ir.Model) -> int:
        return sum(1 for node in model.graph if node.op_type == "Transpose")

    if count(work) < 2:
        return work
    moved = copy_of(work)
    sink_transposes(moved)
    return moved if count(moved) < count(work) else work


def copy_of(model: ir.Model) -> ir.Model:
    """The graph anew; constants are shared.

    Raises:
        TransformError: the graph is not a graph that can be copied.
    """
    try:
        work = model.clone()
    except Exception:  # clone() wants nodes in order of execution; files may have them in any order
        try:
            work = ir.serde.deserialize_model(ir.serde.serialize_model(model))
        except Exception as error:
            raise TransformError(
                "the graph cannot be copied, it is not consistent", next="check it with `python -m onnx.checker`"
            ) from error
    work.ir_version = max(work.ir_version, 4)  # from here on an initializer need not be an input
    return work


@contextmanager
def kept_visible(model: ir.Model, names: Sequence[str]) -> Iterator[None]:
    """While it lasts, the named inner values are outputs of the graph, so that no transform takes them away."""
    values = main_values(model) if names else {}
    pinned = [
        values[name]
        for name in names
        if name in values
        and not values[name].is_graph_output()
        and not values[name].is_graph_input()
        and not values[name].is_initializer()
    ]
    graph = model.graph
    graph.outputs.extend(pinned)
    try:
        yield
    finally:
        pins = {value.name for value in pinned}
        kept = [value for value in graph.outputs if value.name not in pins]
        graph.outputs.clear()
        graph.outputs.extend(kept)
