"""The lines of a table that anyone may have written, and refusals that name one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bitwright.errors import StatisticsError

#: Tables of networks with thousands of layers are a few megabytes.
LARGEST_BYTES = 64 << 20

#: What to do about a damaged table.
WRITE_AGAIN = "let the calibration write the file again: it is not whole"


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a table's file.

    Raises:
        StatisticsError: it cannot be read, is no text, or is larger than any table.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise StatisticsError(
            f"the table cannot be read: {error.strerror or error}",
            where=str(path),
            next="write one with `bitwright calibrate MODEL --calibration DATA -o FILE.cache` (or .table)",
        ) from error
    if len(data) > LARGEST_BYTES:
        raise StatisticsError(
            f"the file is larger than any calibration table ({LARGEST_BYTES >> 20} MiB)",
            where=str(path),
            next="give the table that the calibration wrote",
        )
    text = data.decode("utf-8", errors="replace")
    if "\0" in text or "\ufffd" in text:
        raise StatisticsError(
            "not a calibration table: the file is no text",
            where=str(path),
            next=f"statistics of bitwright end in .npz, not in {Path(path).suffix}",
        )
    return text


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines that hold anything; a carriage return before the line feed is no part."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def at_line(where: str | None, number: int) -> str:
    """The place that an error names.

    >>> at_line("x.cache", 3), at_line(None, 3)
    ('x.cache, line 3', 'line 3')
    """
    return f"line {number}" if where is None else f"{where}, line {number}"
