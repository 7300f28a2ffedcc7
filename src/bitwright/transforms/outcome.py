"""What a transform gives back: onnx_ir's PassResult, and a sentence for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir


@dataclass
class Outcome(ir.passes.PassResult):
    """The model (changed in place), whether anything changed, and what was done or declined.

    Args:
        message: one line; empty when there is nothing to say.
    """

    message: str = ""


def told(done: str, declined: Sequence[str] = ()) -> str:
    """One line from what was done and the reasons of what was declined, equal reasons counted.

    >>> told("2 folded", ["shared output", "shared output"])
    '2 folded; left: shared output (2 times)'
    """
    counted = [f"{reason} ({n} times)" if n > 1 else reason for reason, n in Counter(declined).items()]
    return f"{done}; left: {', '.join(counted)}" if counted else done
