"""What the verbs that train have in common: their options, the bar, what they answer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from bitwright.cli.answer import Answer
from bitwright.cli.options import PreprocessOption, SamplesOption
from bitwright.cli.output import check_output
from bitwright.cli.progress import progress_bar
from bitwright.errors import UsageError
from bitwright.formats.suffixes import MODEL_SUFFIXES, TFLITE

if TYPE_CHECKING:
    from bitwright.retraining import Network

TrainedOutput = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="Where the model goes: .onnx or .tflite.")
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option(metavar="REGEX", help="Leave layers with such names as they are; may be repeated.")
]


@dataclass(frozen=True)
class Training:
    """How a verb trains: each field is an option of it."""

    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="What to train on: .npy, .npz, a folder or .zip of images or arrays (its sub-folders are classes), or"
            " file.py:function.",
        ),
    ]
    preprocess: PreprocessOption = None
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the data.")] = 3
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Samples a step.")] = 64
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="The learning rate at the first step.")] = 1e-4
    distill: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="How much is learned from the float network, and not from labels; 0.5 with labels, else 1.",
        ),
    ] = None
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help='Change images at each step: "flip shift=4"; with distillation alone also "mix".'
        ),
    ] = None
    holdout: Annotated[
        float,
        typer.Option(min=0, max=0.9, metavar="SHARE", help="Hold out so much; the weights that are best there win."),
    ] = 0.0
    patience: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after so many epochs without a better one.")
    ] = None
    autocast: Annotated[
        bool, typer.Option("--autocast", help="Products in bfloat16: faster on processors that have it.")
    ] = False
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Written after each epoch; where it is there, training goes on from it."),
    ] = None
    samples: SamplesOption = None
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the order of samples, and of a draw.")] = 0
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="Threads; all by default.")] = None


def trains(**defaults: Any) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a verb the options of training: its argument `training` becomes them.

    Args:
        defaults: of this verb, where they are others than those of all.
    """

    def decorate(verb: Callable[..., Answer]) -> Callable[..., Answer]:
        names = [field.name for field in fields(Training)]

        @functools.wraps(verb)
        def with_options(**given: Any) -> Answer:
            training = Training(**{name: given.pop(name) for name in names})
            return verb(training=training, **given)

        hints = get_type_hints(verb, include_extras=True)
        own = [p for p in inspect.signature(verb).parameters.values() if p.name != "training"]
        asked = get_type_hints(Training, include_extras=True)
        options = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(
                    field.name, inspect.Parameter.empty if field.default is MISSING else field.default
                ),
            )
            for field in fields(Training)
        ]
        parameters = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
        parameters += [p.replace(annotation=asked[p.name]) for p in options]
        with_options.__signature__ = inspect.Signature(parameters, return_annotation=Answer)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": Answer}
        return with_options

    return decorate


def train_and_save(
    model: Path,
    output: Path,
    training: Training,
    prepare: Callable[[int], Network],
    *,
    finish: Callable[[Network], dict[str, Any]] | None = None,
    quiet: bool,
) -> Answer:
    """Prepare a network, train it, write the model, and say what was done.

    Args:
        model: the file.
        output: where the result goes.
        training: how.
        prepare: makes the network; takes the number of steps that it will be trained for.
        finish: what is done after training; gives what is told of it.
        quiet: print errors alone.
    """
    check_output(output, *MODEL_SUFFIXES, model=model)
    if training.patience is not None and not training.holdout:
        raise UsageError("--patience needs --holdout", next="hold out a share, such as --holdout 0.1")

    import bitwright as bw
    from bitwright.retraining import training_data

    if output.suffix.lower() == TFLITE:
        bw.load(str(model)).to_program()  # what has no form there is refused before the long work
    table = training_data(
        str(model), training.data, preprocess=training.preprocess, samples=training.samples, seed=training.seed
    )
    kept = table.split(training.holdout, training.seed)[0] if training.holdout else table
    network = prepare(kept.steps(training.batch_size) * training.epochs)
    with progress_bar("training", shown=not quiet) as progress:
        history = bw.fit(
            network,
            table,
            epochs=training.epochs,
            batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            distill=training.distill,
            augment=training.augment,
            holdout=training.holdout,
            patience=training.patience,
            autocast=training.autocast,
            seed=training.seed,
            checkpoint=training.checkpoint,
            threads=training.threads,
            progress=progress,
        )
    told = {} if finish is None else finish(network)
    made = bw.convert(network)
    written = [str(path) for path in made.save(output)]
    report = None if made.report is None else made.report.to_dict()
    data = {"output": written, "training": history.to_json(), **told, "report": report}
    return Answer(data, None if quiet else _text(written, history.to_json(), told))


def _text(written: list[str], history: dict[str, Any], told: dict[str, Any]) -> str:
    lines = []
    for epoch in history["epochs"]:
        parts = [f"epoch {epoch['number']}", f"loss {epoch['loss']:.4g}"]
        if epoch["held_out"] is not None:
            parts.append(f"held out {epoch['held_out']:.4g}")
        if epoch["accuracy"] is not None:
            parts.append(f"top-1 {100 * epoch['accuracy']:.2f} %")
        lines.append("  ".join(parts))
    if history["stopped"]:
        lines.append(f"stopped early: epoch {history['best']} is the best")
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in told.items() if not isinstance(value, dict)]
    return "\n".join([*lines, *written])
