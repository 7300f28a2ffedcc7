"""bitwright unpack: the model file that a .bwz file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, QuietOption
from bitwright.cli.output import check_output
from bitwright.formats.suffixes import MODEL_SUFFIXES


def unpack(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="The packed model: .bwz.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Where the model goes: .onnx or .tflite, as packed or converted."
        ),
    ],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Write the model that FILE holds, byte for byte as it was packed."""
    check_output(output, *MODEL_SUFFIXES, model=model)

    import bitwright as bw

    written = bw.unpack(model, output)
    size = sum(path.stat().st_size for path in written)
    data = {"output": [str(path) for path in written], "bytes": size}
    return Answer(data, None if quiet else f"{output}: {size:,} bytes")
