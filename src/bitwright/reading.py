"""Reading: whatever holds a model -> Model. The counterpart of `Model.save`."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.errors import BitwrightError, ModelError
from bitwright.formats.bwz.sniff import is_bwz, packed_suffix
from bitwright.formats.suffixes import TFLITE

if TYPE_CHECKING:
    import onnx_ir as ir

    from bitwright.model import Model
    from bitwright.numerics.requantize import Rounding
    from bitwright.program.program import Program

# A .tflite file is compiled without any graph: what graphs need is imported by the functions that make one.

#: What stands at byte 4 of a .tflite file.
IDENTIFIER = b"TFL3"


def read_model(source: Any, **options: Any) -> Model:
    """A Model of a path or an object; QDQ pairs and integer tensors become its plan.

    Args:
        source: as `api.load` takes.
        options: of `importers.load.load_graph`.

    Raises:
        ModelError: it cannot be read.
        UnsupportedOpError: operators of a .tflite file that have no counterpart: all of them, each with its reason.
    """
    from bitwright.model import Model

    if isinstance(source, Model):
        return source
    if hasattr(source, "__bitwright__"):
        made: Model = source.__bitwright__()
        return made
    if is_tflite(source):
        from bitwright.lowering.raise_program import raise_program

        program = read_program(source)
        raised, plan = raise_program(program)
        return _with_port_types(Model(raised, plan, os.fspath(source), file_program=program))
    from bitwright.exporters.onnx.read import from_onnx

    graph, path = read_graph(source, **options)
    graph, plan = from_onnx(graph.clone() if graph is source else graph)
    return _with_port_types(Model(graph, plan, path))


def read_graph(source: Any, **options: Any) -> tuple[ir.Model, str | None]:
    """What `importers.load.load_graph` gives, of a packed ONNX model as well.

    Args:
        source: as it takes.
        options: its own.

    Raises:
        ModelError: it cannot be read.
    """
    from bitwright.importers.load import load_graph

    if not is_bwz(source):
        return load_graph(source, **options)
    import onnx

    from bitwright.formats.bwz.read import open_bwz

    where = os.fspath(source)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(open_bwz(source).contents())
        return load_graph(proto)[0], where
    except BitwrightError as error:
        error.where = error.where or where
        raise
    except Exception as error:  # protobuf's DecodeError, or what its C code raises
        raise ModelError("what is packed is not an ONNX model", where=where, next="pack the model again") from error


def _with_port_types(model: Model) -> Model:
    """With the types of ports that its .tflite file had, where those of a side are alike."""
    from bitwright.lowering.port_types import PORTS

    if model.plan is None or PORTS not in model.graph.metadata_props:
        return model
    found: list[str | None] = []
    try:
        told = json.loads(model.graph.metadata_props[PORTS])
        for side in ("inputs", "outputs"):
            types = {str(kind) for kind in told[side].values()}
            found.append(types.pop() if len(types) == 1 else None)
    except (ValueError, KeyError, TypeError, AttributeError):  # someone else's metadata under our key
        return model
    return replace(model, input_type=found[0], output_type=found[1])


def read_program(
    source: str | os.PathLike[str], *, mapped: bool = False, rounding: Rounding = "tflite_double"
) -> Program:
    """The Program that a .tflite file spells, packed or not.

    Args:
        source: the path.
        mapped: whether constants stay in the file, which then may be replaced but not be written into.
        rounding: the Program's.

    Raises:
        ModelError: the file cannot be read, or is not whole.
        UnsupportedOpError: operators outside the vocabulary, all of them by name.
    """
    from bitwright.formats.tflite.read import read_tflite

    return read_tflite(tflite_bytes(source, mapped=mapped), where=os.fspath(source), rounding=rounding)


def tflite_bytes(source: str | os.PathLike[str], *, mapped: bool = False) -> bytes | memoryview:
    """The bytes of a .tflite file; a packed one is unpacked.

    Raises:
        ModelError: it cannot be read.
    """
    if is_bwz(source):
        from bitwright.formats.bwz.read import open_bwz

        return open_bwz(source).contents()
    path = Path(source)
    try:
        return _map(path) if mapped else path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model cannot be read: {error.strerror or error}", where=str(path), next="check the path"
        ) from error


def _map(path: Path) -> bytes | memoryview:
    """A file in memory without a copy of it, where its file system can do that."""
    with path.open("rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (ValueError, OSError):  # an empty file, a pipe
            return file.read()


def is_tflite(source: Any) -> bool:
    """Whether it is the path of a .tflite file, by its suffix or its first bytes; or of a packed one."""
    if not isinstance(source, str | os.PathLike):
        return False
    if is_bwz(source):
        return packed_suffix(source) == TFLITE
    path = Path(source)
    if path.suffix.lower() == TFLITE:
        return not path.is_dir()
    try:
        with open(path, "rb") as handle:
            return handle.read(8)[4:8] == IDENTIFIER
    except OSError:
        return False
