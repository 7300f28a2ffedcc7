"""Telling a .bwz file, and what is packed in it, by its first bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bitwright.formats.suffixes import BWZ, MODEL_SUFFIXES, ONNX, TFLITE

#: Its first byte is no text, and its line ends tell a file that was sent as text.
MAGIC = b"\x89BWZ\r\n\x1a\n"
#: The packed file's format, by number.
FORMATS = {1: ONNX, 2: TFLITE}
#: The place of that number.
_FORMAT_AT = 9


def is_bwz(source: Any) -> bool:
    """Whether it is the path of a .bwz file, by its suffix, or by its first bytes where that is no other format's."""
    return _start(source) is not None


def packed_suffix(source: Any) -> str | None:
    """The suffix of the format that is packed in a .bwz file; None for other files and for damaged ones."""
    start = _start(source) or b""
    return FORMATS.get(start[_FORMAT_AT]) if start.startswith(MAGIC) and len(start) > _FORMAT_AT else None


def _start(source: Any) -> bytes | None:
    """The first bytes of a .bwz file; None for anything else."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    if path.suffix.lower() in MODEL_SUFFIXES:  # it may be a pipe, which is read once
        return None
    named = path.suffix.lower() == BWZ and not path.is_dir()
    try:
        with path.open("rb") as handle:
            start = handle.read(_FORMAT_AT + 1)
    except OSError:
        return b"" if named else None
    return start if named or start.startswith(MAGIC) else None
