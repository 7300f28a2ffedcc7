"""What a verb gives back: a value to show, as text or as JSON, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The result of a verb.

    Args:
        data: what --json prints.
        text: what is printed otherwise: a string or anything Rich can show; None prints nothing.
        code: the exit code.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: Any = None
    code: int = 0

    def show(self, as_json: bool) -> None:
        """Print it on standard output."""
        if as_json:
            print(json.dumps(dict(self.data), indent=1))
        elif self.text is not None:
            from rich.console import Console

            # A pipe has no width: wide enough that names are not cut.
            console = Console(file=sys.stdout, highlight=False, soft_wrap=isinstance(self.text, str))
            if not console.is_terminal:
                console.width = 120
            console.print(self.text, markup=False) if isinstance(self.text, str) else console.print(self.text)
