"""bitwright cluster: weights that share few values, trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, PreprocessOption, QuietOption, SamplesOption
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

if TYPE_CHECKING:
    from bitwright.retraining import Network


def cluster(
    model: ModelArgument,
    output: TrainedOutput,
    data: DataOption,
    clusters: Annotated[int, typer.Option(min=2, metavar="N", help="Values that the weights of a layer share.")] = 16,
    init: Annotated[
        Literal["linear", "kmeans++", "density", "random"], typer.Option(help="Where they begin.")
    ] = "kmeans++",
    per_channel: Annotated[bool, typer.Option("--per-channel", help="So many values an output channel.")] = False,
    preprocess: PreprocessOption = None,
    epochs: EpochsOption = 2,
    batch_size: BatchOption = 64,
    learning_rate: RateOption = 1e-4,
    distill: DistillOption = None,
    augment: AugmentOption = None,
    holdout: HoldoutOption = 0.0,
    patience: PatienceOption = None,
    checkpoint: CheckpointOption = None,
    samples: SamplesOption = None,
    seed: TrainingSeed = 0,
    exclude: ExcludeOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Let the weights of MODEL share few values, train these, and write it to OUT."""

    def prepared(steps: int) -> Network:
        import bitwright as bw

        return bw.cluster_weights(
            str(model),
            clusters,
            cluster_centroids_init=init,
            per_channel=per_channel,
            exclude=tuple(exclude or ()),
            seed=seed,
        )

    def finish(network: Network) -> dict[str, Any]:
        return {"clusters": clusters}

    training = Training(
        data, epochs, batch_size, learning_rate, distill, augment, holdout, patience, checkpoint, samples, seed,
        preprocess, threads,
    )  # fmt: skip
    return train_and_save(model, output, training, prepared, finish=finish, quiet=quiet)
