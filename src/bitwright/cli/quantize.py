"""bitwright quantize: a float model in, a small one out, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bitwright.cli.ahead import load_ahead
from bitwright.cli.answer import Answer
from bitwright.cli.options import (
    CalibrationOption,
    InputsOption,
    InputTypeOption,
    JsonOption,
    MethodOption,
    ModelArgument,
    OutputsOption,
    OutputTypeOption,
    PreprocessOption,
    QuietOption,
    SamplesOption,
    SeedOption,
    SignatureOption,
    TargetOption,
    reading,
)
from bitwright.cli.output import check_output
from bitwright.cli.progress import progress_bar
from bitwright.errors import RecipeError, UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES, TFLITE

Mode = Literal["float16", "weight-only", "dynamic", "int8", "uint8", "int16x8"]

_CALIBRATED = ("int8", "uint8", "int16x8")


def quantize(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Where the model goes: .onnx or .tflite.")
    ],
    mode: Annotated[Mode, typer.Option(help="What becomes integer.")] = "int8",
    calibration: CalibrationOption = None,
    statistics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What `bitwright calibrate` wrote, or a table of TensorRT (.cache) or ncnn (.table), instead of"
            " --calibration.",
        ),
    ] = None,
    samples: SamplesOption = None,
    seed: SeedOption = 0,
    preprocess: PreprocessOption = None,
    method: MethodOption = None,
    target: TargetOption = None,
    per_tensor: Annotated[bool, typer.Option("--per-tensor", help="One scale a weight, not one a channel.")] = False,
    weight_bits: Annotated[Literal["8", "4", "2"], typer.Option(help="Bits of a weight.")] = "8",
    block_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Weights that share one scale: 32, 64 or 128; one scale a channel without it."
        ),
    ] = None,
    activations: Annotated[
        Literal["u8", "i8"] | None,
        typer.Option(help="Storage of activations; what the target is fastest with by default."),
    ] = None,
    weight_method: Annotated[
        Literal["minmax", "mse"] | None,
        typer.Option(help="How a weight's scale is chosen; mse at 4 bits and minmax at 8 by default."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A recipe in JSON (docs/recipes.md), or ai-edge-quantizer's, instead of --mode."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="REGEX", help="Leave nodes with such names float; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse when a node would stay float.")] = False,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction/--no-bias-correction", help="Put the mean error of weights into biases.")
    ] = True,
    equalize: Annotated[bool, typer.Option("--equalize", help="Even out channel ranges across layers first.")] = False,
    save_statistics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what calibration saw: .npz.")
    ] = None,
    input_type: InputTypeOption = None,
    output_type: OutputTypeOption = None,
    input_stats: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MEAN,STD",
            help="Legacy uint8: an input's real value is (q - MEAN) / STD; may be repeated.",
        ),
    ] = None,
    default_ranges: Annotated[
        str | None,
        typer.Option(
            metavar="MIN,MAX", help="The range of activations that calibration did not see; then it may be left out."
        ),
    ] = None,
    inputs: InputsOption = None,
    outputs: OutputsOption = None,
    signature: SignatureOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Quantize MODEL, write it to OUT, and report what it cost."""
    check_output(output, *MODEL_SUFFIXES, model=model)
    if save_statistics is not None:
        check_output(save_statistics, ".npz")
        if calibration is None:
            raise UsageError("--save-statistics needs --calibration", next="give the data to take statistics of")
    if calibration is not None and statistics is not None:
        raise UsageError("--calibration and --statistics exclude each other", next="give one of the two")
    if calibration is None and (samples, preprocess) != (None, None):
        raise UsageError("--samples and --preprocess are of --calibration", next="give the data, or leave them out")
    if equalize and (statistics or save_statistics):
        raise UsageError(
            "statistics are of the model as it is, --equalize changes its ranges", next="give --calibration alone"
        )
    if target is None:
        target = "litert" if output.suffix.lower() == TFLITE else "onnxruntime"
    if output.suffix.lower() != TFLITE and (input_type or output_type):
        raise UsageError("--input-type and --output-type are for .tflite outputs", next="write to a .tflite file")
    if recipe is None and mode in _CALIBRATED and not (calibration or statistics or default_ranges):
        raise UsageError(
            f"mode {mode} needs sample inputs to calibrate on",
            where=str(model),
            next="give --calibration DATA or --statistics FILE, or use --mode dynamic, which needs none",
        )

    import bitwright as bw
    from bitwright.calibration.tables.suffixes import TABLE_SUFFIXES

    options: dict[str, Any] = {
        "method": method,
        "target": target,
        "per_channel": not per_tensor,
        "weight_bits": int(weight_bits),
        "block_size": block_size,
        "exclude": tuple(exclude or ()),
        "strict": strict,
        "bias_correction": bias_correction,
        "equalize": equalize,
        "input_type": input_type,
        "output_type": output_type,
    }
    if default_ranges is not None:
        options["default_ranges"] = parse_pair(default_ranges, "--default-ranges", "MIN,MAX", "-6,6")
    if weight_method is not None:
        options["weight_method"] = weight_method
    if activations is not None:
        options["activation_type"] = activations
    drawn: dict[str, Any] = {"samples": samples, "seed": seed, "preprocess": preprocess}
    if recipe is None:
        options["mode"] = mode
    loaded = load_ahead(model, reading(inputs, outputs, signature))
    if recipe is not None:
        options["recipe"] = _read_recipe(recipe, loaded)
    if input_stats:
        options["input_stats"] = _input_stats(input_stats, [str(value.name) for value in loaded.graph.graph.inputs])
    with progress_bar("calibrating", shown=not quiet) as progress:
        if save_statistics is not None:
            asked = options.get("recipe", mode)
            drawn |= {"method": method, "mode": asked, "target": target, "progress": progress}
            seen = bw.calibrate(loaded, calibration, **drawn)
            seen.save(save_statistics)
            options["statistics"] = seen
        elif statistics is not None:
            is_table = statistics.suffix.lower() in TABLE_SUFFIXES
            options["statistics"] = bw.read_table(statistics, loaded) if is_table else bw.Statistics.load(statistics)
        elif calibration is not None:
            options |= {"calibration": calibration, "progress": progress, **drawn}
        small = bw.quantize(loaded, **options)
    written = [str(path) for path in small.save(output)]
    report = small.report
    data = {"output": written, **(report.to_dict() if report is not None else {})}
    return Answer(data, None if quiet else report)


def parse_pair(text: str, option: str, form: str, example: str) -> tuple[float, float]:
    """Two numbers with a comma between.

    Raises:
        UsageError: they are not.
    """
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} cannot be {text!r}", next=f"write {form}, such as {example}") from error
    return first, second


def _input_stats(texts: list[str], inputs: list[str]) -> dict[str, tuple[float, float]]:
    """(mean, std) by input name; a model with one input needs no name."""
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, equals, pair = text.rpartition("=")
        if not equals and len(inputs) != 1:
            raise UsageError(
                f"--input-stats {text!r} names no input, and there are {len(inputs)}",
                next=f"write {inputs[0] if inputs else 'NAME'}=MEAN,STD",
            )
        if (key := name or inputs[0]) in found:
            raise UsageError(f"--input-stats is given twice for {key!r}", next="give each input's once")
        found[key] = parse_pair(pair, "--input-stats", "NAME=MEAN,STD", f"{key}=127.5,127.5")
    return found


def _read_recipe(path: Path, model: Any) -> Any:
    from bitwright.api import Recipe
    from bitwright.compat.ai_edge_quantizer import is_recipe, to_recipe

    try:
        text = path.read_text(encoding="utf-8")
        return to_recipe(text, model) if is_recipe(text) else Recipe.from_json(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise RecipeError(f"the recipe cannot be read: {reason}", where=str(path), next="give a JSON file") from error
    except RecipeError as error:
        raise RecipeError(error.what, where=error.where or str(path), next=error.next) from error
