"""bitwright inspect: what a model holds, and what would stay float."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, TargetOption


def inspect(
    model: ModelArgument,
    target: TargetOption = None,
    full: Annotated[bool, typer.Option("--full", help="Show the graph's and the plan's text as well.")] = False,
    as_json: JsonOption = False,
) -> Answer:
    """Show inputs, outputs, bytes, operators, and what is or could be quantized."""
    import bitwright as bw

    found = bw.inspect(str(model), target=target)
    data = found.to_dict()
    if full:
        plan = found.quantized or found.preview
        data |= {"graph_text": found.graph_text, "plan_text": None if plan is None else plan.to_text()}
    return Answer(data, found.render(full=full))
