"""Graphs on disk: read with external data left where it is, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir

from bitwright.errors import OutputError

#: Key of `ir.Model.meta`: the operator sets that the file had when it was read, by domain.
OPSETS_READ = "bitwright.opsets_read"

#: Protobuf messages end at 2 GiB; larger models keep their constants in a file beside the graph.
LARGEST_MESSAGE_BYTES = (1 << 31) - (1 << 20)


def constants_bytes(model: ir.Model) -> int:
    """Bytes of all initializers, in the form they are held."""
    return sum(
        v.const_value.nbytes for g in model.graphs() for v in g.initializers.values() if v.const_value is not None
    )


def write_model(model: ir.Model, path: Path, *, external_threshold: int | None = None) -> None:
    """Serialize to `path` (in a folder of the caller's that may hold half a file). See `save_model` for users' files.

    Args:
        external_threshold: constants of at least so many bytes go to `<name>.data`; None keeps all inside
            unless the message would pass 2 GiB.
    """
    if external_threshold is None and constants_bytes(model) > LARGEST_MESSAGE_BYTES:
        external_threshold = 1024
    if external_threshold is None:
        model = model.clone()  # its constants go into the file; the caller's stay where they are
        for graph in model.graphs():
            for value in graph.initializers.values():
                if isinstance(value.const_value, ir.ExternalTensor):
                    value.const_value = ir.Tensor(value.const_value.numpy(), name=value.name)
        ir.save(model, path)
    else:
        ir.save(model, path, external_data=path.name + ".data", size_threshold_bytes=external_threshold)


def save_model(model: ir.Model, path: str | os.PathLike[str]) -> list[Path]:
    """Write a model to the user's path: all of it, or nothing.

    Returns:
        The files written (more than one when the constants pass 2 GiB).

    Raises:
        OutputError: the folder is not writable, the disk is full.
    """
    with atomic_output(path) as folder:
        write_model(model, folder / Path(path).name)
        names = sorted(made.name for made in folder.iterdir())
    return [Path(path).with_name(name) for name in names]


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Write bytes to the user's path: all of them, or nothing.

    Raises:
        OutputError: the folder is not writable, the disk is full.
    """
    with atomic_output(path) as folder:
        (folder / Path(path).name).write_bytes(data)


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `path`; what is in it at the end replaces the files of the same name beside `path`.

    On any error or interruption nothing is left and nothing is replaced.

    Raises:
        OutputError: the folder is not writable, the disk is full.
    """
    target = Path(path)
    folder: Path | None = None
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(target))
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield folder
        # The largest file last, the graph (named like the target) at the very end: it is what makes the rest count.
        for made in sorted(folder.iterdir(), key=lambda p: p.name == target.name):
            with open(made, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(made, target.parent / made.name)
    except OSError as error:
        raise OutputError(
            f"the output could not be written: {error.strerror or error}",
            where=str(target),
            next="choose a folder that exists, is writable and has room; nothing was left behind",
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
