"""How reports are shown: numbers for people, Rich tables, and plain text without a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def plain_text(renderable: RenderableType, *, width: int = 110) -> str:
    """A Rich renderable as text without colour or control codes."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, no_color=True, highlight=False, legacy_windows=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


class Section:
    """A heading and a plain table under it.

    Args:
        title: the heading; Rich would wrap a table's own title at the width of the table.
        columns: their names.
        right: columns that hold numbers.
    """

    def __init__(self, title: str, columns: Iterable[str], *, right: Iterable[str] = ()) -> None:
        from rich import box
        from rich.table import Table

        self.title = title
        self.table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        numbers = set(right)
        for name in columns:
            self.table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")

    def add_row(self, *cells: str) -> None:
        """One line of the table."""
        self.table.add_row(*cells)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(Text(f"\n{self.title}" if self.title else "", style="bold"), self.table)


def cell(text: str) -> str:
    """A name as Rich should print it: brackets are no markup."""
    from rich.markup import escape

    return escape(text)


def bytes_text(count: int) -> str:
    """Bytes for people, in powers of 1024.

    >>> bytes_text(999), bytes_text(1536), bytes_text(5 << 20)
    ('999 B', '1.5 KiB', '5.0 MiB')
    """
    if count < 1024:
        return f"{count} B"
    size, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{size:.1f} {unit}"


def db_text(sqnr_db: float) -> str:
    """Decibels for people; equal tensors have no error at all.

    >>> db_text(41.26), db_text(float("inf"))
    ('41.3 dB', 'exact')
    """
    if math.isnan(sqnr_db):
        return "not a number"
    if math.isinf(sqnr_db):
        return "exact" if sqnr_db > 0 else "-inf dB"
    return f"{sqnr_db:.1f} dB"


def json_number(value: float | None) -> float | str | None:
    """A float that JSON can hold: infinities and NaN as words.

    >>> json_number(float("inf")), json_number(1.5)
    ('inf', 1.5)
    """
    if value is None or math.isfinite(value):
        return value
    return str(value)
