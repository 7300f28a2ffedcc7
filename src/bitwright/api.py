"""The whole chain in a few short functions: load, calibrate, quantize, transform."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from bitwright.calibration.collect import Request, collect
from bitwright.calibration.feeds import Feeds, input_specs
from bitwright.calibration.files import open_source
from bitwright.calibration.samples import Samples
from bitwright.calibration.statistics import Statistics, observer_of
from bitwright.errors import StatisticsError, UsageError
from bitwright.exporters.onnx.read import from_onnx
from bitwright.graph.constants import held_as_floats
from bitwright.graph.digest import digest
from bitwright.graph.values import float_values
from bitwright.model import Model
from bitwright.quantization.apply import apply_plan
from bitwright.quantization.given import make_given
from bitwright.quantization.kernels import check_ports
from bitwright.quantization.plan import Compute, Role
from bitwright.quantization.planner import make_plan, observations
from bitwright.quantization.recipe import Recipe, recipe_for_mode
from bitwright.quantization.target import Target, load_target
from bitwright.reading import is_tflite, read_graph, read_model
from bitwright.report.program_sizes import sizes_of_program
from bitwright.report.quantize_report import make_quantize_report
from bitwright.report.sizes import Sizes, sizes_of, source_bytes
from bitwright.running import run
from bitwright.transforms.equalize import equalize as equalize_channels
from bitwright.transforms.pipeline import apply_transforms, prepare
from bitwright.transforms.untranspose_gemm import untranspose_gemm

__all__ = [
    "Model",
    "Recipe",
    "Statistics",
    "calibrate",
    "load",
    "quantize",
    "run",
    "transform",
]

Progress = Callable[[int, int | None], None]


def load(
    source: Any,
    *,
    example_inputs: Any = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    signature: str | None = None,
    tags: Sequence[str] | None = None,
) -> Model:
    """Read a model.

    Args:
        source: path of a .onnx, .tflite, .bwz, .keras, .h5 or .pb file, a .pt2 program or a SavedModel's folder;
            onnx.ModelProto, onnx_ir.Model, torch.nn.Module, keras.Model, a concrete function or GraphDef of
            TensorFlow; an object whose `__bitwright__()` gives a Model. A Model is given back as it is.
        example_inputs: for an nn.Module or a subclassed Keras model, what it is called with.
        inputs: for a GraphDef, names of the nodes that are fed; what lies before them is left out.
        outputs: for a GraphDef, names of the nodes that are wanted; for a SavedModel, outputs of its signature.
        signature: for a SavedModel; "serving_default" by default.
        tags: for a SavedModel; "serve" by default.

    Raises:
        ModelError: it cannot be read; says why, and what reads it.
        UnsupportedOpError: operators of a TensorFlow graph or .tflite file without a counterpart in ONNX: all of them.
        MissingDependencyError: what reads it is not installed.
        UsageError: arguments that this kind of model has no use for.
    """
    return read_model(
        source, example_inputs=example_inputs, inputs=inputs, outputs=outputs, signature=signature, tags=tags
    )


def calibrate(
    model: Any,
    calibration: Any,
    *,
    method: str | None = None,
    mode: str | Recipe = "int8",
    target: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    preprocess: str | None = None,
    shard: tuple[int, int] = (0, 1),
    every_value: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Run samples through a float model and keep what each tensor saw.

    Args:
        model: a Model, or what `load` takes.
        calibration: a path (.npy, .npz, folder or .zip of images or arrays, file.py:function), an array, a list or
            generator, a callable, an object with get_next(), a DataLoader.
        method: what to collect for: minmax, ema, percentile, entropy or mse; the target's own by default.
        mode: the mode or recipe whose tensors are watched.
        target: the runtime that the model is for: onnxruntime or litert; by default that of the model's format.
        samples: use so many, drawn evenly.
        seed: of that draw.
        preprocess: for files, "scale=1/255 mean=... std=... size=224 layout=NCHW".
        shard: (i, n): only part i of n, to be merged afterwards.
        every_value: watch every float value, not those alone that the mode makes integer: tables of other runtimes
            (`write_table`) want them.
        workers: threads.
        progress: called with (done, total).

    Raises:
        SampleError: a sample does not fit the model's inputs.
    """
    recipe = mode if isinstance(mode, Recipe) else recipe_for_mode(mode)
    given = float_model(load(model))
    prepared = prepare(given.graph)
    data = open_source(
        calibration, input_specs(prepared), preprocess=preprocess, samples=samples, seed=seed, shard=shard
    )
    runtime = load_target(target or target_of(given))
    requests = observations(prepared, recipe, runtime)
    if every_value:
        requests += [Request(str(value.name)) for value in float_values(prepared)]
    seen = collect(prepared, data, requests, method=_method(method, runtime, None), workers=workers, progress=progress)
    return replace(seen, graph=digest(prepared))


def quantize(
    model: Any,
    mode: str | Recipe = "int8",
    *,
    recipe: Recipe | None = None,
    calibration: Any = None,
    statistics: Statistics | None = None,
    method: str | None = None,
    target: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    preprocess: str | None = None,
    per_channel: bool = True,
    weight_bits: int = 8,
    block_size: int | None = None,
    activation_type: str | None = None,
    weight_method: str | None = None,
    exclude: Sequence[str] = (),
    strict: bool = False,
    bias_correction: bool = True,
    equalize: bool = False,
    input_stats: Mapping[str, tuple[float, float]] | None = None,
    default_ranges: tuple[float, float] | None = None,
    input_type: str | None = None,
    output_type: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Model:
    """Make a float model small.

    Args:
        model: a Model, or what `load` takes; left as it is.
        mode: float16, weight-only, dynamic, int8, uint8, int16x8, or a Recipe.
        recipe: the same as giving a Recipe for `mode`.
        calibration: sample inputs, in any form `calibrate` takes; integer modes need it, or `statistics`.
        statistics: what an earlier calibration saw.
        method: how a range is chosen: minmax, ema, percentile, entropy or mse; by default minmax for onnxruntime, mse
            for litert (minmax as well from statistics that were not collected for it).
        target: the runtime that the model is for: onnxruntime or litert; by default that of the model's format.
        samples: calibrate on so many, drawn evenly.
        seed: of that draw.
        preprocess: for files of images or arrays.
        per_channel: one scale per output channel of a weight, else per tensor.
        weight_bits: 8; 4 in modes weight-only and int8; 2 in mode int8, for what was trained so.
        block_size: weights that share one scale, in mode weight-only; a .tflite file holds no such blocks.
        activation_type: u8 or i8 in mode int8; what the target is fastest with by default.
        weight_method: minmax or mse.
        exclude: regular expressions; nodes whose name matches stay float.
        strict: refuse when a node would stay float.
        bias_correction: take the mean error of rounded weights off the biases.
        equalize: even out channel ranges across layers first.
        input_stats: (mean, standard deviation) by input name, in mode uint8: real = (q - mean) / deviation.
        default_ranges: (lowest, highest) value of activations without statistics; with it calibration may be left out,
            for a file whose speed counts and whose results do not.
        input_type, output_type: what inputs and outputs of a .tflite file hold: float32, int8, uint8 or int16.
        workers: calibration threads.
        progress: called with (samples done, samples in all or None).

    Returns:
        A Model with its plan and report.

    Raises:
        UsageError: an unknown mode, an integer mode without calibration, or an option that the mode or the target has
            no use for.
        SampleError, StatisticsError, QuantParamsError, UnsupportedOpError: as each says.
    """
    started = time.perf_counter()
    loaded = load(model)
    given = float_model(loaded)
    runtime = load_target(target or target_of(given))
    asked = recipe if recipe is not None else mode
    if not isinstance(asked, Recipe):
        asked = recipe_for_mode(
            asked,
            per_channel=per_channel,
            weight_bits=weight_bits,
            block_size=block_size,
            activation_storage=activation_type,
            weight_method=weight_method,
            has_blocks=runtime.has_blocks,
        )
    elif (per_channel, weight_bits, block_size, activation_type, weight_method) != (True, 8, None, None, None):
        raise UsageError(
            "a recipe says all of it: a mode's options do not go with one", next="write them in the recipe"
        )
    if isinstance(statistics, str | os.PathLike):
        raise UsageError(
            "statistics= takes what was calibrated, not a path",
            where=os.fspath(statistics),
            next="bw.Statistics.load(path), or bw.read_table(path, model)",
        )
    asked = asked.exclude(*((exclude,) if isinstance(exclude, str) else exclude))
    method = _method(method, runtime, statistics)
    check_ports(asked, runtime, input_type=input_type, output_type=output_type)
    inputs = [str(value.name) for value in given.graph.graph.inputs]
    told = make_given(inputs, input_stats, default_ranges, calibrated=asked.needs_calibration, mode=asked.mode)
    if asked.needs_calibration and calibration is None and statistics is None and default_ranges is None:
        raise UsageError(
            f"mode {asked.mode} needs sample inputs to calibrate on",
            next="give calibration data or saved statistics, or use mode dynamic, which needs none",
        )
    prepared = prepare(given.graph)
    if equalize:
        if statistics is not None:
            raise UsageError(
                "equalizing changes the ranges that saved statistics hold", next="give calibration data instead"
            )
        equalize_channels(prepared)
    if statistics is not None and statistics.graph and statistics.graph != digest(prepared):
        raise StatisticsError(
            "the statistics were taken on another model, or on other weights of it",
            where=given.source,
            next="calibrate this one: `bitwright calibrate MODEL --calibration DATA -o FILE.npz`",
        )
    by_weights = any(entry.how.compute in (Compute.DYNAMIC, Compute.WEIGHT_ONLY) for entry in asked.entries)
    if by_weights and runtime.has_multiplied_weights:
        untranspose_gemm(prepared)
    first: list[Feeds] = []
    unmeasured: frozenset[str] = frozenset()
    if asked.needs_calibration and statistics is None and calibration is not None:
        data = open_source(calibration, input_specs(prepared), preprocess=preprocess, samples=samples, seed=seed)
        requests = observations(prepared, asked, runtime)
        statistics = _watch(prepared, data, requests, method, workers, progress, first)
        if default_ranges is None:
            unmeasured = frozenset(r.name for r in requests if r.name not in statistics.tensors)
    plan = make_plan(prepared, asked, runtime, statistics, method, strict=strict, unmeasured=unmeasured, given=told)
    small = apply_plan(prepared.clone(), plan, statistics, bias_correction=bias_correction)
    made = Model(small, plan, given.source, input_type=input_type, output_type=output_type)
    report = make_quantize_report(
        prepared,
        small,
        plan,
        after_sizes=model_sizes(made),
        source=given.source,
        source_bytes=source_bytes(given.source),
        method=method if asked.needs_calibration and statistics is not None else None,
        samples=statistics.samples if asked.needs_calibration and statistics is not None else 0,
        feeds=first,
        warnings=_warnings(loaded, asked, list(prepared.graph), sampled=calibration is not None),
        seconds=time.perf_counter() - started,
    )
    return made.with_report(report)


def transform(model: Any, transforms: str, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Model:
    """Apply named transforms to a float or quantized model's graph, in transform_graph's grammar.

    Args:
        model: a Model, or what `load` takes; left as it is.
        transforms: "name(argument=value) name2 ...", run in order.
        inputs: names of values that are inputs.
        outputs: names of values that are outputs.

    Raises:
        TransformError: an unknown name, a syntax error, or a transform that failed.
    """
    given = load_plain(model)
    return transformed(apply_transforms(given.graph, transforms, inputs=inputs, outputs=outputs).model, given)


def transformed(graph: ir.Model, given: Model) -> Model:
    """A Model of a transformed graph; the QDQ pairs of what was a .tflite are its plan again."""
    if given.file_program is None:
        return Model(graph, None, given.source)
    again, plan = from_onnx(ir.from_proto(ir.to_proto(graph)))  # as a file spells it: constants have their types
    return Model(again, plan, given.source, input_type=given.input_type, output_type=given.output_type)


def load_plain(source: Any) -> Model:
    """A model as its file spells it: QDQ pairs stay nodes."""
    if isinstance(source, Model) or is_tflite(source):
        model = read_model(source)
        return replace(model, graph=model.to_ir(), plan=None, report=None)
    graph, path = read_graph(source)
    return Model(graph, None, path)


def target_of(model: Model) -> str:
    """The runtime that the model's format is for."""
    return "litert" if model.file_program is not None else "onnxruntime"


def model_sizes(model: Model) -> Sizes:
    """The bytes by kind of the file that the model is for."""
    if model.plan is not None and model.plan.target == "litert":
        return sizes_of_program(model.to_program(), len(model.to_tflite()))
    return sizes_of(model.to_ir())


def _method(asked: str | None, target: Target, statistics: Statistics | None) -> str:
    """How ranges are chosen: as asked, or as the target has it where the statistics were collected for that.

    Raises:
        UsageError: an unknown method.
    """
    observer = observer_of(asked or target.calibration_method)
    if asked is None and statistics is not None and observer not in statistics.observers:
        return "minmax"
    return asked or target.calibration_method


def float_model(given: Model) -> Model:
    """A model of float activations; weights that are stored as integers or halves become what they stand for."""
    if given.plan is None:
        return given
    if any(tensor.role is Role.ACTIVATION for tensor in given.plan.tensors.values()):
        raise UsageError(
            "the model is quantized already", where=given.source, next="start from the float model it was made from"
        )
    return replace(given, graph=held_as_floats(given.graph), plan=None)


def _warnings(given: Model, recipe: Recipe, nodes: Sequence[ir.Node], *, sampled: bool) -> list[str]:
    """What a report has to say of the model that was given and of what was asked."""
    found = [
        f"nothing matches scope {e.scope!r}, operator {e.operator!r} of the recipe or --exclude"
        for e in recipe.entries
        if not any(e.matches(str(n.name), n.op_type) for n in nodes)
    ]
    if sampled and not recipe.needs_calibration:
        found.append(f"the calibration data were not read: mode {recipe.mode} needs none")
    if given.plan is not None:
        found.append(f"weights came as {given.plan.mode} and are rounded a second time: start from the float model")
    return found


def _watch(
    graph: ir.Model,
    data: Samples,
    requests: Sequence[Request],
    method: str,
    workers: int | None,
    progress: Progress | None,
    first: list[Feeds],
) -> Statistics:
    """Collect, and keep the first sample for the report."""

    class _Keeping:
        length = data.length

        def __iter__(self) -> Iterator[tuple[int, Feeds]]:
            for index, feeds in data:
                if not first:
                    first.append(feeds)
                yield index, feeds

    return collect(graph, _Keeping(), requests, method=method, workers=workers, progress=progress)
