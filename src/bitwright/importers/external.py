"""Constants in files beside the model: they must be there, be long enough, and lie in the model's own folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import onnx_ir as ir

from bitwright.errors import ModelError

DAMAGED = "the file is damaged or its exporter has a fault: export it again"


def check_external(model: ir.Model) -> None:
    """Check every external tensor of a model, without reading its data.

    Raises:
        ModelError: the file is missing, too short, or outside the model's folder.
    """
    sizes: dict[str, int] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            _check(value.const_value, f"initializer {value.name!r}", sizes)
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.TENSOR:
                    _check(attribute.value, f"node {node.name!r}, attribute {attribute.name!r}", sizes)


def _check(tensor: object, where: str, sizes: dict[str, int]) -> None:
    if not isinstance(tensor, ir.ExternalTensor):
        return
    if not os.fspath(tensor.base_dir):
        raise ModelError(
            "constants lie in an external file, and a model in memory does not say in which folder",
            where=where,
            next="give the path of the .onnx file, or load it with its external data",
        )
    location = os.fspath(tensor.location)
    if location not in sizes:
        sizes[location] = _file_bytes(Path(tensor.base_dir), location, where)
    start, stored = tensor.offset or 0, tensor.nbytes if tensor.length is None else tensor.length
    if stored != tensor.nbytes or start < 0:
        raise ModelError(
            f"an external tensor of shape {list(tensor.shape)} and type {tensor.dtype.name} must have"
            f" {tensor.nbytes} bytes (got {stored} at {start})",
            where=where,
            next=DAMAGED,
        )
    if start + stored > sizes[location]:
        raise ModelError(
            f"the external data file {location!r} is too short: {start + stored} bytes are needed, it has"
            f" {sizes[location]}",
            where=where,
            next="copy the file again, all of it",
        )


def _file_bytes(folder: Path, location: str, where: str) -> int:
    """Size of an external file that may be read: a regular file that only the model's folder holds."""
    path = folder / location
    root = Path(os.path.realpath(folder))
    lexical = Path(os.path.normpath(Path(os.path.abspath(folder)) / location))
    inside = lexical.is_relative_to(os.path.abspath(folder)) and Path(os.path.realpath(path)).is_relative_to(root)
    if not location or os.path.isabs(location) or "\\" in location or not inside:
        raise ModelError(
            f"external data lies outside the model's folder: {location!r}",
            where=where,
            next="do not trust this file; if it is yours, put the data beside the model and export it again",
        )
    try:
        found = os.stat(path)
    except OSError as error:
        raise ModelError(
            f"the external data file {location!r} is missing", where=where, next=f"put it into {folder}"
        ) from error
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise ModelError(
            f"the external data {location!r} is not a plain file (a folder, a device, or a hard link)",
            where=where,
            next="put a copy of the data beside the model",
        )
    return found.st_size
