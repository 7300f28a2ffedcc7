"""bitwright qat: quantization-aware training for those without code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, PreprocessOption, QuietOption, SamplesOption, TargetOption
from bitwright.cli.training import (
    AugmentOption,
    BatchOption,
    CheckpointOption,
    DataOption,
    DistillOption,
    EpochsOption,
    ExcludeOption,
    HoldoutOption,
    PatienceOption,
    RateOption,
    ThreadsOption,
    TrainedOutput,
    Training,
    TrainingSeed,
    train_and_save,
)
from bitwright.formats.suffixes import TFLITE

if TYPE_CHECKING:
    from bitwright.retraining import Network


def qat(
    model: ModelArgument,
    output: TrainedOutput,
    data: DataOption,
    mode: Annotated[
        Literal["int8", "uint8", "int16x8", "dynamic", "weight-only"], typer.Option(help="What becomes integer.")
    ] = "int8",
    weight_bits: Annotated[Literal["8", "4", "2"], typer.Option(help="Bits of a weight.")] = "8",
    per_tensor: Annotated[bool, typer.Option("--per-tensor", help="One scale a weight, not one a channel.")] = False,
    bn: Annotated[
        Literal["frozen", "correct"],
        typer.Option(help="BatchNormalization: running statistics that stay, or corrected to each batch's at first."),
    ] = "frozen",
    ranges: Annotated[
        Literal["ema", "learned"] | None,
        typer.Option(help="Where scales come from: averages, or gradients (by default below 8 bits)."),
    ] = None,
    target: TargetOption = None,
    preprocess: PreprocessOption = None,
    epochs: EpochsOption = 3,
    batch_size: BatchOption = 64,
    learning_rate: RateOption = 1e-4,
    distill: DistillOption = None,
    augment: AugmentOption = None,
    holdout: HoldoutOption = 0.1,
    patience: PatienceOption = None,
    checkpoint: CheckpointOption = None,
    samples: SamplesOption = None,
    seed: TrainingSeed = 0,
    exclude: ExcludeOption = None,
    threads: ThreadsOption = None,
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
            per_channel=not per_tensor,
            bn=bn,
            ranges=ranges,
            target=target or ("litert" if output.suffix.lower() == TFLITE else "onnxruntime"),
            exclude=tuple(exclude or ()),
        )

    training = Training(
        data, epochs, batch_size, learning_rate, distill, augment, holdout, patience, checkpoint, samples, seed,
        preprocess, threads,
    )  # fmt: skip
    return train_and_save(model, output, training, prepared, quiet=quiet)
