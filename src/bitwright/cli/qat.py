"""bitwright qat: quantization-aware training for those without code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, QuietOption, TargetOption
from bitwright.cli.training import ExcludeOption, TrainedOutput, Training, train_and_save, trains
from bitwright.formats.suffixes import TFLITE

if TYPE_CHECKING:
    from bitwright.retraining import Network


@trains(holdout=0.1)
def qat(
    model: ModelArgument,
    output: TrainedOutput,
    training: Training,
    mode: Annotated[
        Literal["int8", "uint8", "int16x8", "dynamic", "weight-only"], typer.Option(help="What becomes integer.")
    ] = "int8",
    weight_bits: Annotated[Literal["8", "4", "2"], typer.Option(help="Bits of a weight.")] = "8",
    activation_bits: Annotated[Literal["8", "4"], typer.Option(help="Bits of an activation; 4 for .onnx files.")] = "8",
    per_tensor: Annotated[bool, typer.Option("--per-tensor", help="One scale a weight, not one a channel.")] = False,
    bn: Annotated[
        Literal["frozen", "correct"],
        typer.Option(help="BatchNormalization: running statistics that stay, or corrected to each batch's at first."),
    ] = "frozen",
    ranges: Annotated[
        Literal["ema", "learned"] | None,
        typer.Option(help="Where scales come from: averages, or gradients (by default below 8 bits)."),
    ] = None,
    delay: Annotated[int, typer.Option(min=0, metavar="N", help="Steps of training before anything is quantized.")] = 0,
    target: TargetOption = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Train MODEL as it will run quantized, and write it quantized to OUT."""

    def prepared(steps: int) -> Network:
        import bitwright as bw

        return bw.prepare_qat(
            str(model),
            mode,
            weight_bits=int(weight_bits),
            activation_bits=int(activation_bits),
            delay=delay,
            per_channel=not per_tensor,
            bn=bn,
            ranges=ranges,
            target=target or ("litert" if output.suffix.lower() == TFLITE else "onnxruntime"),
            exclude=tuple(exclude or ()),
        )

    return train_and_save(model, output, training, prepared, quiet=quiet)
