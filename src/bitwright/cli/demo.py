"""bitwright demo: the shipped digits network in every mode, beside float."""

from __future__ import annotations

import json
from typing import Any

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption


def demo(as_json: JsonOption = False) -> Answer:
    """Quantize the shipped digits network in every mode and show what each costs."""
    from bitwright.demo.run import run_demo

    made: Any = run_demo()
    data = made.to_json()
    return Answer(json.loads(data) if isinstance(data, str) else data, made)
