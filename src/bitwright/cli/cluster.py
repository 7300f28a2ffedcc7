"""bitwright cluster: weights that share few values, trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, QuietOption
from bitwright.cli.training import ExcludeOption, TrainedOutput, Training, train_and_save, trains

if TYPE_CHECKING:
    from bitwright.retraining import Network


@trains(epochs=2)
def cluster(
    model: ModelArgument,
    output: TrainedOutput,
    training: Training,
    clusters: Annotated[int, typer.Option(min=2, metavar="N", help="Values that the weights of a layer share.")] = 16,
    init: Annotated[
        Literal["linear", "kmeans++", "density", "random"], typer.Option(help="Where they begin.")
    ] = "kmeans++",
    per_channel: Annotated[bool, typer.Option("--per-channel", help="So many values an output channel.")] = False,
    exclude: ExcludeOption = None,
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
            seed=training.seed,
        )

    def finish(network: Network) -> dict[str, Any]:
        return {"clusters": clusters}

    return train_and_save(model, output, training, prepared, finish=finish, quiet=quiet)
