"""One door for everything that can be read: picks the importer by type, suffix or content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from bitwright.errors import BitwrightError, ModelError, UsageError
from bitwright.graph.io import OPSETS_READ
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.opset import to_current_opset, to_oldest_container
from bitwright.importers.torch_module import PICKLE_SUFFIXES, is_torch, load_torch

_CONVERTERS = {
    ".pb": ("a TensorFlow graph", "`python -m tf2onnx.convert --opset 18 --graphdef MODEL --output model.onnx`"),
    ".keras": ("a Keras model", "`tf2onnx.convert.from_keras(keras.models.load_model(path))`"),
    ".h5": ("a Keras model", "`tf2onnx.convert.from_keras(keras.models.load_model(path))`"),
}
_SAVED_MODEL = "`python -m tf2onnx.convert --opset 18 --saved-model FOLDER --output model.onnx`"


def load_graph(source: Any, *, example_inputs: Any = None) -> tuple[ir.Model, str | None]:
    """A graph at a current operator set, and the path it came from (None for objects).

    Args:
        source: path of a .onnx file or .pt2 program, `onnx.ModelProto`, `onnx_ir.Model`, `torch.nn.Module`,
            or `torch.export.ExportedProgram`. Objects are left as they were.
        example_inputs: for an `nn.Module` only, what its forward takes: a tensor, a tuple, or a dict by name.

    Raises:
        ModelError: it cannot be read; says why and what reads it.
        UsageError: not something a model can be read from.
    """
    if isinstance(source, onnx.ModelProto | ir.Model):
        return _current(load_onnx(source), None), None
    if is_torch(source):
        return _current(load_torch(source, example_inputs), None), None
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"a model cannot be read from {type(source).__name__!r}",
            next="give a path, an onnx.ModelProto, an onnx_ir.Model, or a torch.nn.Module with example_inputs",
        )
    path = Path(source)
    shown = os.fspath(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        _refuse_folder(path)
    if suffix in _CONVERTERS and path.exists():
        kind, command = _CONVERTERS[suffix]
        raise _not_read_yet(kind, shown, command)
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
    if (path / "saved_model.pb").exists():
        raise _not_read_yet("a TensorFlow SavedModel", str(path), _SAVED_MODEL)
    inside = sorted(p.name for p in path.glob("*.onnx"))
    hint = f"give the file: {path / inside[0]}" if inside else "give the path of a .onnx or .pt2 file"
    raise ModelError("a folder is not a model", where=str(path), next=hint)


def _sniff(path: Path) -> None:
    """Refuse files that are plainly something else; what remains is tried as ONNX."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(16)
    except OSError:
        return  # load_onnx says why
    shown = str(path)
    if head.startswith(b"\x89HDF"):
        raise _not_read_yet("a Keras model", shown, _CONVERTERS[".h5"][1])
    if head.startswith(b"PK\x03\x04"):
        raise ModelError(
            "the file is a zip archive, not an ONNX model",
            where=shown,
            next="a program saved by torch.export.save is read when its name ends in .pt2",
        )


def _not_read_yet(kind: str, where: str, command: str) -> ModelError:
    return ModelError(f"{kind} is not read yet", where=where, next=f"convert it to ONNX first (tf2onnx): {command}")
