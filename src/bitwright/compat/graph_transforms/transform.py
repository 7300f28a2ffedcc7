"""transform_graph: a list of transforms in TensorFlow's grammar, run on a model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bitwright.compat.graph_transforms.opening import open_model, value_names
from bitwright.compat.graph_transforms.rows import ALIASES, PASSED_OVER, QUANTIZING, WITHOUT_MEANING, known
from bitwright.compat.graph_transforms.work import Work
from bitwright.errors import BitwrightError, TransformError
from bitwright.model import Model
from bitwright.transforms.arguments import names, word
from bitwright.transforms.grammar import Call, parse_transforms
from bitwright.transforms.pipeline import Step, apply_call, copy_of
from bitwright.transforms.registry import TRANSFORMS, Transform, read_arguments
from bitwright.transforms.strip_unused_nodes import check_names, main_values


@dataclass(frozen=True)
class Transformed:
    """The new model and what each step did to it."""

    model: Model
    steps: tuple[Step, ...]


def TransformGraph(
    input_graph_def: Any, inputs: Sequence[str], outputs: Sequence[str], transforms: Sequence[str] | str
) -> Model:
    """`tensorflow.tools.graph_transforms.TransformGraph`: the same arguments, and a Model in the place of a GraphDef.

    Args:
        input_graph_def: a GraphDef, a path, a Model, or whatever else `bitwright.load` takes; left as it is.
        inputs, outputs: names of nodes or values: a list, or one text with commas.
        transforms: a list of calls, or one text of them.

    Returns:
        The Model; `save` writes it to .onnx or .tflite.

    Raises:
        TransformError: as `transform_graph`.
    """
    return transform_graph(input_graph_def, transforms, inputs=inputs, outputs=outputs).model


def transform_graph(
    source: Any,
    transforms: Sequence[str] | str,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    target: str | None = None,
    calibration: Any = None,
    preprocess: str | None = None,
) -> Transformed:
    """Run a list of transforms, in order, on a model.

    Args:
        source: as `TransformGraph` takes it.
        transforms: `name(argument=value, ...) name ...`; every transform takes `ignore_errors=true`.
        inputs: nodes or values that are fed; a GraphDef is cut at them. All of the model's by default.
        outputs: likewise, what is wanted.
        target: onnxruntime or litert, for what quantizes; that of the model's format by default.
        calibration: samples that `quantize_nodes` takes ranges from, which TensorFlow's had no place for.
        preprocess: of samples that are files, as `bitwright.calibrate` takes it.

    Raises:
        TransformError: the text cannot be read, a transform, an argument or a name is unknown, a transform fails, or
            no transform reads the calibration data.
        ModelError, UnsupportedOpError: the model cannot be read.
    """
    text = transforms if isinstance(transforms, str) else " ".join(transforms)
    calls = [named(call) for call in parse_transforms(text)]
    arguments = [(call, read_call(call)) for call in calls]
    if calibration is not None and "quantize_nodes" not in {call.name for call in calls}:
        raise TransformError(
            "calibration data are given, and no transform of the list reads any", next="add quantize_nodes"
        )
    fed, wanted = names_of(inputs), names_of(outputs)
    model = open_model(source, fed, wanted)
    graph = model.graph
    fed, wanted = value_names(graph.graph, fed), value_names(graph.graph, wanted)
    check_names(main_values(graph), [*fed, *wanted])
    work = Work(model, fed, wanted, target, calibration, preprocess)
    steps = tuple(run(work, call, given) for call, given in arguments)
    return Transformed(work.model, steps)


def run(work: Work, call: Call, arguments: dict[str, object]) -> Step:
    """One call; what it did.

    Raises:
        TransformError: it fails, and errors are not ignored.
    """
    where = place(call)
    if call.name in WITHOUT_MEANING:
        return Step(call.name, False, f"nothing to do: {WITHOUT_MEANING[call.name]}")
    if call.name in TRANSFORMS:
        graph, step = apply_call(
            call, copy_of(work.model.to_ir()), arguments, where, inputs=work.inputs, outputs=work.outputs
        )
        if step.modified:
            work.take(graph)
        return step
    saved = replace(work, ranges=dict(work.ranges))
    try:
        outcome = QUANTIZING[call.name].function(work, **arguments)
    except BitwrightError as error:
        if not call.ignore_errors:
            raise TransformError(f"{call.name}: {error.what}", where=error.where or where, next=error.next) from error
        work.model, work.ranges = saved.model, saved.ranges
        return Step(call.name, False, f"error ignored: {error.what}")
    return Step(call.name, outcome.modified, outcome.message)


def named(call: Call) -> Call:
    """The call under the name that it has here.

    Raises:
        TransformError: no transform has that name.
    """
    name = ALIASES.get(call.name, call.name)
    if name not in known():
        near = difflib.get_close_matches(name, known(), n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise TransformError(
            f"no transform is named {name!r}", where=place(call), next=f"{meant}there are: {', '.join(known())}"
        )
    return replace(call, name=name)


def read_call(call: Call) -> dict[str, object]:
    """The arguments of a call.

    Raises:
        TransformError: an argument that it does not have, lacks, or that cannot be what it says.
    """
    row = QUANTIZING.get(call.name) or TRANSFORMS.get(call.name)
    if row is None:
        arguments = dict.fromkeys(PASSED_OVER.get(call.name, ()), word)
        row = Transform(lambda model: model, "", arguments)
    return read_arguments(call.name, call.arguments, where=place(call), row=row)


def place(call: Call) -> str:
    """Where in the list a call is."""
    return f"position {call.position} of the list of transforms"


def names_of(given: Sequence[str] | str) -> tuple[str, ...]:
    """Names of a list, or of one text with commas between."""
    return names((given,) if isinstance(given, str) else tuple(given))
