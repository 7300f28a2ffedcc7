"""Checks an output path before the long work, so that nothing is computed in vain."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bitwright.errors import OutputError, UsageError


def check_output(path: Path, *suffixes: str, model: Path | None = None) -> Path:
    """The path, when a file of one of the suffixes can be made there and it is not the model that is read.

    Raises:
        UsageError: the suffix is another one, or the output is the model itself.
        OutputError: the folder does not exist or is not writable, or the path is a folder.
    """
    wanted = " or ".join(suffixes)
    if path.is_dir():
        raise OutputError("the output is a folder", where=str(path), next=f"name a file that ends in {wanted}")
    if model is not None and path.exists() and model.exists() and path.samefile(model):
        raise UsageError(
            "the output is the input: the model would be lost", where=str(path), next="write to another file"
        )
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"the output must end in {wanted} (got {path.suffix or 'no suffix'})",
            where=str(path),
            next=f"write to {path.with_suffix(suffixes[0])}",
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"the output could not be written: {error.strerror or error}",
            where=str(path),
            next="choose a folder that exists, is writable and has room; nothing was left behind",
        ) from error
    return path
