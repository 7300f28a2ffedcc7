"""Runs a graph in float on ONNX Runtime, giving the outputs and any intermediate value by name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import ModelError, OutputError
from bitwright.graph.io import write_model

Arrays = dict[str, NDArray[Any]]

#: Constants at least this large go beside the graph in a file that ONNX Runtime maps, so that they are not copied.
EXTERNAL_BYTES = 1 << 16


class Execution:
    """A float session over a graph. Safe to call from several threads; each call runs on the caller's thread.

    Args:
        model: the graph to run; left as it is.
        outputs: names of values to give back; the graph's own outputs by default.
        threads: threads inside one call. 1 gives the same bits however many cores there are.
        memory_pattern: see `open_session`.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
    """

    def __init__(
        self, model: ir.Model, outputs: Sequence[str] | None = None, *, threads: int = 1, memory_pattern: bool = True
    ) -> None:
        self.output_names = list(outputs) if outputs is not None else [str(v.name) for v in model.graph.outputs]
        with tempfile.TemporaryDirectory(prefix="bitwright-") as folder:
            path = Path(folder, "graph.onnx")
            try:
                with extra_outputs(model, self.output_names):
                    write_model(model, path, external_threshold=EXTERNAL_BYTES)
            except OSError as error:
                raise OutputError(
                    f"the working copy of the graph could not be written: {error.strerror or error}",
                    where=folder,
                    next="make room there, or name a folder that has it in TMPDIR",
                ) from error
            self._session = open_session(path, threads=threads, memory_pattern=memory_pattern)
        self.inputs: list[Any] = list(self._session.get_inputs())

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> Arrays:
        """The asked values by name, for inputs by name; only those in `outputs` when given, which holds less memory."""
        names = self.output_names if outputs is None else list(outputs)
        if not names:
            return {}
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


def open_session(
    model: str | os.PathLike[str] | bytes, *, threads: int = 1, optimize: bool = True, memory_pattern: bool = True
) -> Any:
    """An ONNX Runtime session on the CPU provider, quiet and without spinning threads.

    Args:
        model: path or bytes.
        threads: threads inside one call.
        optimize: let ONNX Runtime rewrite the graph.
        memory_pattern: lay a whole run out in one block ahead. Without it a run that fetches many values holds a
            fifth less (MobileNetV2 with all activations, two threads: 260 against 308 MiB), at the same speed.

    Raises:
        ModelError: ONNX Runtime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = memory_pattern
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else os.fspath(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises bare RuntimeError subclasses of its own
        raise ModelError(
            f"ONNX Runtime cannot load the model: {str(error).strip().splitlines()[0][:300]}",
            where=None if isinstance(model, bytes) else str(model),
            next="check it with `python -m onnx.checker`, or export it again",
        ) from error


@contextmanager
def extra_outputs(model: ir.Model, names: Sequence[str]) -> Iterator[None]:
    """While it lasts, the named values are graph outputs as well.

    Raises:
        ModelError: a name is not a value of the main graph.
    """
    graph = model.graph
    present = {value.name for value in graph.outputs}
    values = {value.name: value for node in graph for value in node.outputs if value.name}
    values |= {str(value.name): value for value in graph.inputs}
    values |= dict(graph.initializers)
    added = []
    for name in dict.fromkeys(names):
        if name in present:
            continue
        if name not in values:
            raise ModelError(f"no value is named {name!r} in the graph", next="`bitwright inspect` lists the names")
        added.append(values[name])
    count = len(graph.outputs)
    types = [(value, value.type) for value in added]
    try:
        for value in added:
            if value.type is None:  # the format wants a type; ONNX Runtime infers the real shape
                value.type = ir.TensorType(ir.DataType.FLOAT)
            graph.outputs.append(value)
        yield
    finally:
        while len(graph.outputs) > count:  # a slice would leave them marked as graph outputs (onnx_ir 1.1)
            graph.outputs.pop()
        for value, kind in types:
            value.type = kind


def random_feeds(model: ir.Model, seed: int = 0, *, batch: int = 1) -> Arrays:
    """Standard-normal floats (zeros for other types) for every input; free dimensions become `batch`."""
    rng = np.random.default_rng(seed)
    feeds: Arrays = {}
    for value in model.graph.inputs:
        if value.name in model.graph.initializers:
            continue
        shape = [d if isinstance(d, int) else batch for d in (value.shape or ())]
        dtype = (value.dtype or ir.DataType.FLOAT).numpy()
        drawn = rng.standard_normal(shape) if np.issubdtype(dtype, np.floating) else np.zeros(shape)
        feeds[str(value.name)] = drawn.astype(dtype)
    return feeds
