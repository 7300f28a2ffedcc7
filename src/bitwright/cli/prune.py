"""bitwright prune: magnitude pruning, or whole channels, with training that makes up for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import JsonOption, ModelArgument, QuietOption
from bitwright.cli.training import ExcludeOption, TrainedOutput, Training, train_and_save, trains
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.retraining import Network

#: How much of the training goes by while the sparsity grows; the rest trains with what is left.
_GROWS = 0.6


@trains(epochs=5, learning_rate=1e-3)
def prune(
    model: ModelArgument,
    output: TrainedOutput,
    training: Training,
    sparsity: Annotated[
        float | None, typer.Option(min=0, max=0.999, metavar="SHARE", help="The share of weights that become zero.")
    ] = None,
    block: Annotated[str | None, typer.Option(metavar="RxC", help="Zeros come in blocks of this shape.")] = None,
    n_m: Annotated[str | None, typer.Option("--n-m", metavar="N:M", help="N of M weights stay, such as 2:4.")] = None,
    scope: Annotated[
        Literal["layer", "global"], typer.Option(help="The sparsity of each layer, or of all together.")
    ] = "layer",
    keep_operations: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            metavar="SHARE",
            help="Remove whole channels instead, until so many of the multiplications are left.",
        ),
    ] = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Answer:
    """Prune MODEL while it trains, and write it to OUT."""
    if (keep_operations is not None) + (sparsity is not None) + (n_m is not None) != 1:
        raise UsageError(
            "one of --sparsity, --n-m and --keep-operations says what is pruned", next="such as --sparsity 0.8"
        )
    if keep_operations is not None and (block is not None or scope != "layer"):
        raise UsageError("--block and --scope are of zeros, --keep-operations of whole channels", next="leave them out")
    options: dict[str, Any] = {"scope": scope, "exclude": tuple(exclude or ())}
    if block is not None:
        options["block_shape"] = _pair(block, "--block", "x", "1x4")
    if n_m is not None:
        options["n_m"] = _pair(n_m, "--n-m", ":", "2:4")

    def prepared(steps: int) -> Network:
        import bitwright as bw

        if keep_operations is not None:
            return bw.prune_channels(str(model), keep=keep_operations, exclude=tuple(exclude or ()))
        final = sparsity if sparsity is not None else 1 - options["n_m"][0] / options["n_m"][1]
        end = int(_GROWS * steps)
        if end < 1:  # one step, which has the whole sparsity
            return bw.prune_low_magnitude(str(model), bw.ConstantSparsity(final, 0), **options)
        schedule = bw.PolynomialDecay(0.0, final, 0, end, frequency=max(end // 20, 1))
        return bw.prune_low_magnitude(str(model), schedule, **options)

    def finish(network: Network) -> dict[str, Any]:
        import bitwright as bw

        if keep_operations is not None:
            return {}
        found = bw.sparsity(bw.strip_pruning(network))
        return {"sparsity": found.total.share, "layers": {name: one.share for name, one in found.weights.items()}}

    return train_and_save(model, output, training, prepared, finish=finish, quiet=quiet)


def _pair(text: str, option: str, between: str, example: str) -> tuple[int, int]:
    """Two whole numbers.

    Raises:
        UsageError: they are not.
    """
    found = re.fullmatch(rf"([1-9]\d*){between}([1-9]\d*)", text)
    if found is None:
        raise UsageError(f"{option} cannot be {text!r}", next=f"two whole numbers, such as {example}")
    return int(found[1]), int(found[2])
