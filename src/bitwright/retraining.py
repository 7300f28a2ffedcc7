"""Retraining: networks that train, of anything that `load` takes, and back to Models."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.api import float_model, load, model_sizes
from bitwright.calibration.feeds import input_specs
from bitwright.errors import MissingDependencyError
from bitwright.model import Model
from bitwright.quantization.recipe import Recipe
from bitwright.report.quantize_report import make_quantize_report
from bitwright.report.sizes import source_bytes
from bitwright.transforms.pipeline import prepare

if TYPE_CHECKING:
    from bitwright.training.augment import Augment
    from bitwright.training.batches import Table
    from bitwright.training.fit import Loss, Progress
    from bitwright.training.history import Epoch, History
    from bitwright.training.network import Network as Network


def trainable(model: Any, *, example_inputs: Any = None) -> Network:
    """A float network that trains, of a model whose source code may be lost.

    Args:
        model: what `load` takes, an nn.Module included; a network of this function is given back as it is.
        example_inputs: for an nn.Module, what its forward takes.

    Returns:
        A torch module with the model's inputs and outputs, its weights as parameters under their own names.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        UnsupportedOpError: nodes that have no differentiable form, all of them.
        UsageError: the model is quantized already.
    """
    try:
        from bitwright.training.network import Network
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError(
            "training needs PyTorch, which is not installed", next="pip install bitwright[torch]"
        ) from error
    if isinstance(model, Network):
        return model
    given = float_model(load(model, example_inputs=example_inputs))
    return Network(prepare(given.graph, keep_trainable=True), given.source)


def prepare_qat(
    model: Any,
    recipe: str | Recipe = "int8",
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    per_channel: bool = True,
    target: str = "onnxruntime",
    bn: str = "frozen",
    ranges: str | None = None,
    momentum: float = 0.95,
    delay: int = 0,
    calibration: Any = None,
    method: str | None = None,
    exclude: Sequence[str] = (),
    preserve: bool = True,
    example_inputs: Any = None,
) -> Network:
    """A network that trains as it will run once it is quantized.

    Fake quantization stands where the plan of `quantize` has its integers, with the same rules and the same equation.
    The gradient goes straight through rounding, and is zero outside the range. In eval mode, products of integers are
    summed as integer kernels sum them.

    Args:
        model: what `load` takes, an nn.Module included, or a network that was pruned or clustered.
        recipe: int8, uint8, int16x8, dynamic, weight-only, or a Recipe.
        weight_bits: 8, 4 or 2: symmetric, such as [-127, 127].
        activation_bits: 8; or 4, for ONNX files: clipped floats, held in 8 bits.
        per_channel: one scale an output channel of a weight, else one a tensor; one a tensor where weights are shared.
        target: the runtime that the result is for: onnxruntime or litert.
        bn: how BatchNormalization is folded while it trains: "frozen", with its running statistics, which stay; or
            "correct", with them too, and results corrected to the statistics of the batch, until they are frozen.
        ranges: "ema": moving averages of activations' ranges, largest magnitudes of weights; "learned": scales are
            parameters (LSQ). Learned by default below 8 bits.
        momentum: how much of a moving average stays at each step.
        delay: steps of training before anything is quantized; ranges are watched.
        calibration: sample inputs that give the first ranges; else the first batch does.
        method: how calibration chooses them.
        exclude: regular expressions; nodes whose name matches stay float.
        preserve: keep zeros and shared values that the weights of a file have, where they have many.
        example_inputs: for an nn.Module, what its forward takes.

    Returns:
        A torch module, to be trained in any loop: autocast, state_dict and DistributedDataParallel work. `convert`
        makes the quantized model of it, `fit` trains it.

    Raises:
        UsageError: an unknown choice, or nothing would be quantized.
        UnsupportedOpError: nodes that have no differentiable form, all of them.
        MissingDependencyError: PyTorch is not installed.
    """
    network = trainable(model, example_inputs=example_inputs)
    from bitwright.training.prepare import quantization_aware
    from bitwright.training.preserving import preserve as preserved

    if preserve and network is not model:
        preserved(network)
    return quantization_aware(
        network,
        recipe,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        target=target,
        bn=bn,
        ranges=ranges,
        momentum=momentum,
        delay=delay,
        calibration=calibration,
        method=method,
        exclude=tuple(exclude),
    )


def convert(network: Network | Any) -> Model:
    """The Model of a trained network: quantized as it was trained, or float where it trained as floats.

    Args:
        network: or what holds one and has a method `__bitwright__`, such as a quantize-aware Keras model.

    Raises:
        StatisticsError: an activation whose range no training step has seen.
    """
    from bitwright.training.convert import converted

    if hasattr(network, "__bitwright__"):
        return load(network)
    started = time.perf_counter()
    graph, plan, before = converted(network)
    made = Model(graph, plan, network.source)
    if plan is None:
        return made
    report = make_quantize_report(
        before,
        graph,
        plan,
        after_sizes=model_sizes(made),
        source=network.source,
        source_bytes=source_bytes(network.source),
        method=None,
        samples=0,
        feeds=[],
        warnings=[],
        seconds=time.perf_counter() - started,
    )
    return made.with_report(report)


def fit(
    network: Network,
    data: Any,
    *,
    epochs: int = 3,
    loss: Loss | None = None,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    distill: float | None = None,
    temperature: float = 2.0,
    teacher: Any = None,
    augment: str | Augment | None = None,
    holdout: float = 0.0,
    patience: int | None = None,
    freeze_after: float = 0.5,
    autocast: bool = False,
    preprocess: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    told: Callable[[Epoch], None] | None = None,
) -> History:
    """Train a network, for those without a loop of their own.

    AdamW with a learning rate that falls along a cosine. Without labels it learns the outputs of the float network that
    it came from; with labels, half from those.

    Args:
        network: of `prepare_qat`, `prune_low_magnitude`, `cluster_weights` or `trainable`; trained in place.
        data: in any form that calibration takes: a path, arrays, a pair (arrays, labels), a DataLoader.
        epochs: passes over the data.
        loss: of (outputs, labels or None), instead of distillation and cross-entropy.
        batch_size: samples a step.
        learning_rate: at the first step.
        weight_decay: of weights alone.
        distill: how much of the loss is distillation, 0 to 1; 1 without labels, 0.5 with them by default.
        temperature: of distillation between scores of classes.
        teacher: what is learned from instead of the float network: a module that takes inputs by name.
        augment: changes images at each step, by name ("flip shift=4", with distill=1 also "mix"), or a function of a
            batch of inputs.
        holdout: the share of the data that is not trained on; the weights that are best there are kept.
        patience: stop after so many epochs that are not better on what was held out.
        autocast: products in bfloat16: near twice as fast on processors that have it, but for depthwise layers.
        freeze_after: batch statistics freeze after this share of the steps, ranges halfway from there to the end.
        preprocess: for files.
        samples: take only so many, drawn evenly.
        seed: of the draw and the order. On one thread of a CPU the same seed gives the same weights, bit for bit.
        checkpoint: a file that is written after each epoch; where it is there, training goes on from it.
        threads: of PyTorch on a CPU, from now on; as many as it is set to by default.
        progress: called with (steps done, steps in all).
        told: called after each epoch.

    Returns:
        What each epoch gave.

    Raises:
        UsageError: a setting that cannot be, or a loss that is not finite.
        SampleError: data that does not fit.
        ModelError: a checkpoint that cannot be read.
    """
    from bitwright.training.augment import augmentation
    from bitwright.training.fit import Settings, train

    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        loss=loss,
        distill=distill,
        temperature=temperature,
        augment=augmentation(augment) if isinstance(augment, str) else augment,
        holdout=holdout,
        patience=patience,
        freeze_after=freeze_after,
        autocast=autocast,
        seed=seed,
    )
    return train(
        network,
        data,
        settings,
        teacher=teacher,
        preprocess=preprocess,
        samples=samples,
        checkpoint=checkpoint,
        threads=threads,
        progress=progress,
        told=told,
    )


def training_data(
    model: Any, data: Any, *, preprocess: str | None = None, samples: int | None = None, seed: int = 0
) -> Table:
    """All samples for a model in memory, which `fit` takes: where several trainings share them.

    Args:
        model: what `load` takes.
        data, preprocess, samples, seed: as `fit` has them.

    Raises:
        SampleError: data that does not fit.
    """
    from bitwright.training.batches import open_table

    specs = input_specs(load(model).graph)
    return open_table(data, specs, preprocess=preprocess, samples=samples, seed=seed)
