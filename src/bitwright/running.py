"""Running: a model on arrays, by the engine, the numpy references or a runtime that is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bitwright.compiling import compile
from bitwright.errors import SampleError, UnsupportedOpError, UsageError
from bitwright.graph.io import atomic_output
from bitwright.lowering.layout import LAYOUT, PortLayouts, layouts_against, layouts_of, read_layouts
from bitwright.model import Model
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Program
from bitwright.reading import is_tflite, read_model, read_program
from bitwright.report.runners import OnnxRunner
from bitwright.runtime.litert import LiteRT
from bitwright.runtime.machine import usable_isa
from bitwright.runtime.ports import Run, caller_shape, run_rows

Arrays = dict[str, NDArray[Any]]

RUNTIMES = ("engine", "reference", "litert", "onnxruntime")

#: The runtimes that compute in a rounding of the caller's choice.
ROUNDED = ("engine", "reference")
ROUNDINGS: tuple[str, ...] = get_args(Rounding)

#: The name of an input that was given without one: the model's only input.
ONLY = ""


def run(
    model: Any,
    feeds: Mapping[str, NDArray[Any]] | NDArray[Any],
    *,
    runtime: str | None = None,
    rounding: Rounding | None = None,
) -> Arrays:
    """Run a model once, or row by row.

    Args:
        model: a Model, a Program, or what `load` takes.
        feeds: inputs by name, or the array of the only one; many rows where the model takes one. A quantized input
            takes its own integers, or floats; when all inputs are floats, outputs are as well. A .tflite takes data in
            its own layout, or in that of the model it was lowered from where only that fits.
        runtime: "engine", "reference" (numpy), "litert" or "onnxruntime". By default the engine for a quantized model
            that it runs whole, else the references, which give the same integers.
        rounding: of the engine and the references: "tflite_double" (the default) gives the integers of LiteRT's own
            kernels, "fp32_even" those of XNNPACK, its default for 8-bit operators on most processors, "tflite_single"
            those of kernels built with single rounding.

    Returns:
        Outputs by name.

    Raises:
        UsageError: an unknown runtime or rounding.
        SampleError: an input is missing, or does not fit.
        UnsupportedOpError: the model cannot be lowered for the runtime: all its nodes that cannot, with reasons.
        MissingDependencyError: the runtime is not installed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}", next=f"one of {', '.join(RUNTIMES)}")
    if rounding is not None and runtime not in (None, *ROUNDED):
        raise UsageError(f"{runtime} rounds as it does", next=f"leave the rounding out, or take {' or '.join(ROUNDED)}")
    if rounding is not None and rounding not in ROUNDINGS:
        raise UsageError(f"unknown rounding {rounding!r}", next=f"one of {', '.join(ROUNDINGS)}")
    if runtime == "onnxruntime":
        return _on_onnxruntime(read_model(model), feeds)
    loaded = None if isinstance(model, Program) or is_tflite(model) else read_model(model)
    try:
        program = _program_of(model, loaded)
    except UnsupportedOpError:
        if runtime != "engine" or loaded is None:
            raise
        return _in_parts(loaded, feeds, rounding)
    given = _named(feeds, [port.name for port in program.inputs])
    if loaded is None or loaded.file_program is not None:
        layouts = layouts_that_fit(program, given)
    else:
        layouts = layouts_against(read_layouts(loaded.graph.metadata_props.get(LAYOUT)), program)
    as_floats = all(array.dtype.kind == "f" for array in given.values())
    once = _runner(program, runtime, rounding or program.rounding)
    return run_rows(program, once, given, layouts=layouts, as_floats=as_floats)


def _program_of(model: Any, loaded: Model | None) -> Program:
    """What is run; a .tflite that cannot be raised to a graph can still be run."""
    if loaded is not None:
        return loaded.to_program()
    return model if isinstance(model, Program) else read_program(model)


def _runner(program: Program, runtime: str | None, rounding: Rounding) -> Run:
    """What takes inputs and gives outputs by port name, as the ports hold them."""
    if runtime == "litert":
        from bitwright.formats.tflite.write import write_tflite

        return LiteRT(write_tflite(program), program).run
    rounded = replace(program, rounding=rounding)
    if runtime == "engine" or (runtime is None and program.is_quantized):
        from bitwright.runtime.session import Session

        session = Session(rounded, isa=usable_isa(), threads=1)
        if runtime == "engine" or not session.left:
            return session.run_ports
    from bitwright.program.reference import Reference

    return Reference(rounded).run


def _in_parts(loaded: Model, feeds: Mapping[str, NDArray[Any]] | NDArray[Any], rounding: Rounding | None) -> Arrays:
    session = compile(loaded, requantization=rounding or "tflite_double")
    given = _named(feeds, [argument.name for argument in session.get_inputs()])
    return dict(zip((a.name for a in session.get_outputs()), session.run(None, given), strict=True))


def layouts_that_fit(program: Program, given: Arrays) -> PortLayouts:
    """The file's own layout, or that of the model it was lowered from where the inputs fit that one alone."""
    told = layouts_of(program)

    def fits(places: PortLayouts) -> bool:
        shapes = {port.name: caller_shape(program, port, places) for port in program.inputs}
        return all(array.shape[1:] == shapes[name][1:] for name, array in given.items() if name in shapes)

    return told if not fits(PortLayouts()) and fits(told) else PortLayouts()


def _on_onnxruntime(model: Model, feeds: Mapping[str, NDArray[Any]] | NDArray[Any]) -> Arrays:
    runner = OnnxRunner(model.to_ir(), threads=1)
    return runner.run(_named(feeds, [port.name for port in runner.face.inputs]))


def _named(feeds: Mapping[str, NDArray[Any]] | NDArray[Any], names: Sequence[str]) -> Arrays:
    given: Mapping[str, NDArray[Any]] = feeds if isinstance(feeds, Mapping) else {ONLY: np.asarray(feeds)}
    if ONLY in given and ONLY not in names:
        if len(names) != 1:
            raise SampleError(
                f"the model has {len(names)} inputs, and one array has no name",
                next=f"name it: {', '.join(names)}",
            )
        given = {names[0] if name == ONLY else name: array for name, array in given.items()}
    if unknown := sorted(set(given) - set(names)):
        raise SampleError(f"no input is named {', '.join(unknown)}", next=f"the model has {', '.join(names)}")
    return dict(given)


def read_inputs(texts: Sequence[str]) -> Arrays:
    """Inputs by name from texts "NAME=FILE.npy", "FILE.npy" (the only input) or "FILE.npz" (arrays by input name).

    Raises:
        SampleError: a file that is missing or holds no array.
    """
    found: Arrays = {}
    for text in texts:
        name, _, path = text.partition("=") if "=" in text and not os.path.exists(text) else (ONLY, "", text)
        try:
            held = np.load(path, allow_pickle=False)
            if isinstance(held, np.lib.npyio.NpzFile):
                with held:
                    found |= {key: held[key] for key in held.files}
            else:
                found[name] = held
        except (OSError, ValueError, EOFError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it holds no array"
            raise SampleError(
                f"the input cannot be read: {reason}", where=path, next="give .npy, or .npz with arrays by input name"
            ) from error
    return found


def write_arrays(arrays: Arrays, path: Path) -> None:
    """Write arrays by name to an .npz, whole or not at all.

    Raises:
        OutputError: the folder is not writable, the disk is full.
    """
    with atomic_output(path) as folder:
        np.savez(folder / path.name, **arrays)  # type: ignore[arg-type]  # numpy's stub takes keywords for allow_pickle
