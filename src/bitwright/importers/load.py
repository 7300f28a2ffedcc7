"""One door for everything that can be read: picks the importer by type, suffix or content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from bitwright.errors import BitwrightError, ModelError, UsageError
from bitwright.graph.io import OPSETS_READ
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.opset import to_current_opset, to_oldest_container
from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.importers.torch_module import PICKLE_SUFFIXES, is_torch, load_torch


def load_graph(
    source: Any,
    *,
    example_inputs: Any = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    signature: str | None = None,
    tags: Sequence[str] | None = None,
) -> tuple[ir.Model, str | None]:
    """A graph at a current operator set, and the path it came from (None for objects).

    Args:
        source: path of a .onnx file, .pt2 program, SavedModel folder, .keras, .h5 or .pb file; `onnx.ModelProto`,
            `onnx_ir.Model`, `torch.nn.Module`, `torch.export.ExportedProgram`, `keras.Model`, a concrete function or
            GraphDef of TensorFlow. Objects are left as they were.
        example_inputs: for an `nn.Module`, what its forward takes: a tensor, a tuple, or a dict by name; likewise for
            a subclassed Keras model.
        inputs: as `importers.tensorflow.load.load_tensorflow` takes it, and so are the next three.
        outputs: likewise.
        signature: likewise.
        tags: likewise.

    Raises:
        ModelError: it cannot be read; says why and what reads it.
        UsageError: not something a model can be read from, or arguments that it has no use for.
    """
    if kind_of(source) is not None:
        from bitwright.importers.tensorflow.load import load_tensorflow

        graph = load_tensorflow(
            source, example_inputs=example_inputs, inputs=inputs, outputs=outputs, signature=signature, tags=tags
        )
        shown = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        return _current(graph, shown), shown
    for name, given in (("inputs", inputs), ("outputs", outputs), ("signature", signature), ("tags", tags)):
        if given:
            raise UsageError(
                f"{name}= is for models of TensorFlow",
                next="leave it out; `bitwright transform --transforms strip_unused_nodes` cuts any model",
            )
    if isinstance(source, onnx.ModelProto | ir.Model):
        return _current(load_onnx(source), None), None
    if is_torch(source):
        return _current(load_torch(source, example_inputs), None), None
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"a model cannot be read from {type(source).__name__!r}",
            next="give a path, an onnx.ModelProto or onnx_ir.Model, a keras.Model, or an nn.Module with example_inputs",
        )
    path = Path(source)
    shown = os.fspath(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        _refuse_folder(path)
    if suffix == ".pt2" or suffix in PICKLE_SUFFIXES:
        return _current(load_torch(path), shown), shown
    if suffix != ".onnx" and path.exists():
        _sniff(path)
    return _current(load_onnx(path), shown), shown


def _current(model: ir.Model, where: str | None) -> ir.Model:
    read = dict(model.opset_imports)
    try:
        current = to_oldest_container(to_current_opset(model))
        current.meta[OPSETS_READ] = read
        return current
    except BitwrightError as error:
        error.where = ", ".join(part for part in (where, error.where) if part) or None
        raise


def _refuse_folder(path: Path) -> None:
    inside = sorted(p.name for p in path.glob("*.onnx"))
    hint = f"give the file: {path / inside[0]}" if inside else "give the path of a file, or a SavedModel's folder"
    raise ModelError("a folder is not a model", where=str(path), next=hint)


def _sniff(path: Path) -> None:
    """Refuse files that are plainly something else; what remains is tried as ONNX."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(16)
    except OSError:
        return  # load_onnx says why
    shown = str(path)
    if head.startswith(b"PK\x03\x04"):
        raise ModelError(
            "the file is a zip archive, not an ONNX model",
            where=shown,
            next="a program saved by torch.export.save is read when its name ends in .pt2",
        )
