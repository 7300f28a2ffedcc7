"""What a model holds, what it costs, and how far two are apart: inspect, benchmark, compare."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from bitwright.api import load, target_of
from bitwright.calibration.feeds import input_specs
from bitwright.calibration.files import open_source
from bitwright.errors import UnsupportedOpError
from bitwright.formats.bwz.sniff import is_bwz
from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.model import Model
from bitwright.program.program import Program
from bitwright.quantization.plan import Plan
from bitwright.quantization.target import load_target
from bitwright.reading import is_tflite, read_program
from bitwright.report.benchmark import Benchmark, measure
from bitwright.report.compare import compare as compare_models
from bitwright.report.inspect import inspect as inspect_model
from bitwright.report.inspect import inspect_program
from bitwright.report.sizes import file_bytes, source_bytes
from bitwright.subjects import load_subject

if TYPE_CHECKING:
    from bitwright.report.comparison import Comparison
    from bitwright.report.inspect import Inspection


def compare(
    a: Any,
    b: Any,
    data: Any = None,
    *,
    preprocess: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    runs: int = 30,
    threads: int = 1,
) -> Comparison:
    """Measure model `b` against model `a`: size, accuracy or agreement, latency, error layer by layer.

    Args:
        a: the reference: a Model, or what `load` takes.
        b: a model with the same inputs and outputs.
        data: what to measure on, in any form `calibrate` takes; labels give accuracy.
        preprocess: for files.
        samples: measure on so many, drawn evenly.
        seed: of that draw.
        runs: how often each is timed, in turns.
        threads: threads of ONNX Runtime while timed.
    """
    left, right = load(a), load(b)
    opened = (
        None
        if data is None
        else open_source(data, input_specs(left.graph), preprocess=preprocess, samples=samples, seed=seed)
    )
    sizes = tuple(None if m.report is not None else source_bytes(m.source) for m in (left, right))
    return compare_models(
        left,
        right,
        opened,
        seed=seed,
        runs=runs,
        threads=threads,
        names=(_called(left, "a"), _called(right, "b")),
        file_bytes=(sizes[0], sizes[1]),
    )


def benchmark(
    model: Any, *, runtime: str = "engine", threads: int = 1, runs: int = 100, profile: bool = False, seed: int = 0
) -> Benchmark:
    """Time a model on random inputs, at batch 1.

    Args:
        model: a Model, a Program, or what `load` takes.
        runtime: engine, onnxruntime or litert.
        threads: inside one run.
        runs: how often it is timed.
        profile: time each layer as well, on the engine.
        seed: of the inputs.

    Raises:
        UsageError: an unknown runtime, threads or runs below 1, a profile of another runtime than the engine.
        ModelError, UnsupportedOpError, MissingDependencyError: the model cannot be run there.
    """
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else getattr(model, "source", None)
    subject = load_subject(model, runtime, threads)
    return measure(subject, name or "model", threads=threads, runs=runs, profile=profile, seed=seed)


def inspect(model: Any, *, target: str | None = None) -> Inspection:
    """What a model holds: inputs, outputs, bytes, operators, what is quantized or would stay float.

    Args:
        model: a Model, a Program, or what `load` takes.
        target: for a float model, the runtime to say it for.
    """
    if target is not None:
        load_target(target)
    if isinstance(model, Program):
        from bitwright.formats.tflite.write import write_tflite

        return inspect_program(model, file_bytes=len(write_tflite(model)))
    if is_tflite(model):
        return _inspect_file(model, target or "litert")
    loaded = load(model)
    if loaded.is_lowered:
        return inspect_program(
            loaded.to_program(),
            source=loaded.source,
            file_bytes=len(loaded.to_tflite()),
            graph=loaded.graph,
            plan=loaded.plan,
            target=target or "litert",
        )
    is_of_file = loaded.report is None and loaded.source is not None and kind_of(loaded.source) is None
    known = _model_bytes(str(loaded.source)) if is_of_file else None
    return inspect_model(loaded, target=target or target_of(loaded), file_bytes=known)


def _inspect_file(path: str | os.PathLike[str], target: str) -> Inspection:
    """A .tflite file; of one that has no counterpart in ONNX, what can be said without it."""
    from bitwright.lowering.raise_program import raise_program

    program = read_program(path)
    graph: ir.Model | None = None
    plan: Plan | None = None
    with contextlib.suppress(UnsupportedOpError):
        graph, plan = raise_program(program)
    size = _model_bytes(path)
    return inspect_program(program, source=os.fspath(path), file_bytes=size, graph=graph, plan=plan, target=target)


def _model_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of a model's file; of the file that is in it, where it is packed."""
    if is_bwz(path):
        from bitwright.formats.bwz.read import open_bwz

        return open_bwz(path).model_bytes
    return file_bytes(os.fspath(path))


def _called(model: Model, otherwise: str) -> str:
    """A short name for a table: the file's, and the mode of a model that was quantized from it and not saved."""
    name = otherwise if model.source is None else os.path.basename(model.source)
    return f"{name} ({model.plan.mode})" if model.plan is not None and model.report is not None else name
