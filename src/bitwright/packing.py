"""Packing: a model into a .bwz file and back, every byte of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.errors import ModelError, UsageError
from bitwright.formats.bwz.read import Packed, open_bwz
from bitwright.formats.bwz.sniff import is_bwz
from bitwright.formats.bwz.write import write_bwz
from bitwright.formats.suffixes import BWZ, MODEL_SUFFIXES, ONNX, TFLITE
from bitwright.graph.io import LARGEST_MESSAGE_BYTES, constants_bytes, write_bytes, write_model
from bitwright.importers.onnx_file import load_onnx
from bitwright.reading import is_tflite, read_model
from bitwright.report.stages import Stages, stages_of


def pack(model: Any, path: str | os.PathLike[str]) -> Stages:
    """Write a model into a .bwz file, each tensor in the way that takes the fewest bytes, whole or not at all.

    Args:
        model: a Model, or what `load` takes. The bytes of an .onnx or .tflite file are kept as they are; what has
            no file, or constants in files beside it, is packed as `save` would write it.
        path: the file; its name ends in .bwz.

    Returns:
        What each tensor weighs after pruning, sharing and coding.

    Raises:
        UsageError: the name ends in something else, or the model is packed already.
        ModelError: it cannot be read, or has more than 2 GiB.
        OutputError: the folder is not writable, the disk is full.
    """
    if Path(path).suffix.lower() != BWZ:
        raise UsageError("a packed model's name ends in .bwz", where=str(path), next=f"write to {Path(path).stem}.bwz")
    contents, suffix = _contents(model)
    data = write_bwz(contents, suffix)
    write_bytes(data, path)
    return stages_of(Packed(data, where=os.fspath(path)), source=os.fspath(path))


def unpack(path: str | os.PathLike[str], output: str | os.PathLike[str]) -> list[Path]:
    """Write the model file that a .bwz file holds; one of the other format is converted.

    Args:
        path: the .bwz file.
        output: the file, .onnx or .tflite.

    Returns:
        The files written.

    Raises:
        ModelError: the file cannot be read, or is not what was written.
        UsageError: the output names no format.
        UnsupportedOpError: the model has no form in the other format.
        OutputError: the folder is not writable, the disk is full.
    """
    if not is_bwz(path):
        raise UsageError("it is not a .bwz file", where=os.fspath(path), next="pack makes one: `bitwright pack MODEL`")
    suffix = Path(output).suffix.lower()
    if suffix not in MODEL_SUFFIXES:
        named = f"{suffix or 'a file without a suffix'} is not written"
        raise UsageError(named, where=os.fspath(output), next=f"name it {' or '.join(MODEL_SUFFIXES)}")
    packed = open_bwz(path)
    if suffix != packed.suffix:
        return read_model(path).save(output)
    write_bytes(packed.contents(), output)
    return [Path(output)]


def packed_stages(path: str | os.PathLike[str]) -> Stages:
    """What each tensor of a .bwz file weighs after pruning, sharing and coding.

    Raises:
        ModelError: the file cannot be read, or is not what was written.
    """
    return stages_of(open_bwz(path), source=os.fspath(path))


def _contents(model: Any) -> tuple[bytes, str]:
    """The bytes of a model file, and its format."""
    if is_bwz(model):
        raise UsageError("the model is packed already", where=os.fspath(model), next="copy the file")
    if is_tflite(model):
        return _read(model), TFLITE
    if isinstance(model, str | os.PathLike) and Path(model).suffix.lower() == ONNX:
        graph = load_onnx(model)
        return (_embedded(graph) if _lies_outside(graph, model) else _read(model)), ONNX
    loaded = read_model(model)
    return (loaded.to_tflite(), TFLITE) if loaded.is_lowered else (_embedded(loaded.to_ir()), ONNX)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model cannot be read: {error.strerror or error}", where=os.fspath(path), next="check the path"
        ) from error


def _lies_outside(graph: ir.Model, path: str | os.PathLike[str]) -> bool:
    """Whether initializers lie in files beside the model.

    Raises:
        ModelError: tensors of nodes do, which `save` leaves there.
    """
    for node in (node for part in graph.graphs() for node in part):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
                raise ModelError(
                    "a constant of a node lies in a file beside the model",
                    where=f"{os.fspath(path)}, node {node.name!r}",
                    next="apply the transform `lift_constants`, and pack what it gives",
                )
    values = (value for part in graph.graphs() for value in part.initializers.values())
    return any(isinstance(value.const_value, ir.ExternalTensor) for value in values)


def _embedded(graph: ir.Model) -> bytes:
    """The bytes of an .onnx file that holds its constants.

    Raises:
        ModelError: they are more than such a file holds.
    """
    if (size := constants_bytes(graph)) > LARGEST_MESSAGE_BYTES:
        raise ModelError(
            f"the model's constants have {size:,} bytes, and a .bwz file holds 2 GiB at most",
            next="quantize it first: `bitwright quantize MODEL -o SMALL`",
        )
    with tempfile.TemporaryDirectory() as folder:
        write_model(graph, Path(folder, "model.onnx"))
        return Path(folder, "model.onnx").read_bytes()
