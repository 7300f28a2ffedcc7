"""bitwright pack: a model into a .bwz file, which gives back every byte of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, QuietOption
from bitwright.cli.output import check_output
from bitwright.formats.suffixes import BWZ


def pack(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Where the packed model goes: .bwz.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Pack MODEL: codebooks, entropy coding and positions of what is not zero, without any loss."""
    check_output(output, BWZ, model=model)

    import bitwright as bw

    stages = bw.pack(str(model), output)
    if quiet:
        return Answer(stages.to_dict(), None)
    from rich.console import Group
    from rich.text import Text

    told = (
        f"\n{output}: {stages.model_bytes:,} -> {stages.packed_bytes:,} bytes, {stages.ratio:.1f}x of float32 weights"
    )
    return Answer(stages.to_dict(), Group(stages, Text(told)))
