"""bitwright quantize-graph: TensorFlow's script `quantize_graph`, with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, PreprocessOption, QuietOption, names
from bitwright.cli.output import check_output
from bitwright.cli.transform_graph import answer
from bitwright.errors import UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES, TFLITE

_Number = float | None


def quantize_graph(
    input_file: Annotated[
        Path, typer.Option("--input", metavar="IN", help="The float model: .pb, .onnx, .keras and so on.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="OUT", help="Where the model goes: .onnx or .tflite.")],
    output_node_names: Annotated[
        str,
        typer.Option("--output_node_names", "--output-node-names", metavar="NAMES", help="Nodes that are wanted."),
    ] = "",
    mode: Annotated[
        Literal["round", "quantize", "eightbit", "weights", "weights_rounded"], typer.Option(help="What is done.")
    ] = "round",
    bitdepth: Annotated[int, typer.Option(metavar="N", help="Bits, in modes round and weights_rounded.")] = 8,
    quantized_input: Annotated[
        bool, typer.Option("--quantized_input", "--quantized-input", help="Inputs are uint8, in mode eightbit.")
    ] = False,
    quantized_input_min: Annotated[
        float, typer.Option("--quantized_input_min", "--quantized-input-min", help="What 0 of an input stands for.")
    ] = 0.0,
    quantized_input_max: Annotated[
        float, typer.Option("--quantized_input_max", "--quantized-input-max", help="What 255 of an input stands for.")
    ] = 1.0,
    quantized_fallback_min: Annotated[
        _Number,
        typer.Option("--quantized_fallback_min", "--quantized-fallback-min", help="Lowest value of any activation."),
    ] = None,
    quantized_fallback_max: Annotated[
        _Number,
        typer.Option("--quantized_fallback_max", "--quantized-fallback-max", help="Highest value of any activation."),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(metavar="DATA", help="Sample inputs to take ranges from, in mode eightbit.")
    ] = None,
    preprocess: PreprocessOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Round or quantize a float graph by MODE, as TensorFlow's script of this name did."""
    check_output(output, *MODEL_SUFFIXES, model=input_file)
    if preprocess is not None and calibration is None:
        raise UsageError("--preprocess is of --calibration", next="give the data, or leave it out")

    from bitwright.compat.graph_transforms import quantize_graph as quantized

    made = quantized(
        str(input_file),
        names(output_node_names),
        mode,
        bitdepth,
        quantized_input=quantized_input,
        quantized_input_min=quantized_input_min,
        quantized_input_max=quantized_input_max,
        quantized_fallback_min=quantized_fallback_min,
        quantized_fallback_max=quantized_fallback_max,
        target="litert" if output.suffix.lower() == TFLITE else "onnxruntime",
        calibration=calibration,
        preprocess=preprocess,
    )
    return answer(made.steps, [str(path) for path in made.model.save(output)], quiet)
