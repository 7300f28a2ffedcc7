"""bitwright convert: a model from one format to another, float or quantized, its integers unchanged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import (
    InputsOption,
    InputTypeOption,
    JsonOption,
    ModelArgument,
    OutputsOption,
    OutputTypeOption,
    QuietOption,
    SignatureOption,
    reading,
)
from bitwright.cli.output import check_output
from bitwright.errors import UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES, TFLITE


def convert(
    model: ModelArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Where the model goes: .onnx or .tflite.")],
    input_type: InputTypeOption = None,
    output_type: OutputTypeOption = None,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    signature: SignatureOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Write MODEL in the format that OUT names."""
    check_output(output, *MODEL_SUFFIXES, model=model)
    if output.suffix.lower() != TFLITE and (input_type or output_type):
        raise UsageError("--input-type and --output-type are for .tflite outputs", next="write to a .tflite file")

    from bitwright.api import load, load_plain

    loaded = load(str(model), **reading(inputs, outputs, signature)).with_ports(input_type, output_type)
    if output.suffix.lower() == TFLITE:
        kinds = Counter(operator.kind for operator in loaded.to_program().operators)
    else:
        loaded = load_plain(loaded)
        kinds = Counter(node.op_type for node in loaded.graph.graph)
    written = loaded.save(output)
    size = sum(path.stat().st_size for path in written)
    data = {"output": [str(path) for path in written], "bytes": size, "operators": dict(kinds.most_common())}
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return Answer(data, None if quiet else f"{output}: {size:,} bytes\n{told}")
