"""bitwright inspect: what a model holds, and what would stay float; of a packed one, what each stage saved."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, TargetOption
from bitwright.formats.bwz.sniff import is_bwz


def inspect(
    model: ModelArgument,
    target: TargetOption = None,
    full: Annotated[bool, typer.Option("--full", help="Show the graph's and the plan's text as well.")] = False,
    as_json: JsonOption = False,
) -> Answer:
    """Show inputs, outputs, bytes, operators, and what is or could be quantized; bytes by stage of a .bwz file."""
    import bitwright as bw

    found = bw.inspect(str(model), target=target)
    data = found.to_dict()
    if full:
        plan = found.quantized or found.preview
        data |= {"graph_text": found.graph_text, "plan_text": None if plan is None else plan.to_text()}
    if not is_bwz(model):
        return Answer(data, found.render(full=full))
    from rich.console import Group

    from bitwright.packing import packed_stages

    stages = packed_stages(model)
    return Answer(data | {"packed": stages.to_dict()}, Group(found.render(full=full), stages))
