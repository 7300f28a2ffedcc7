"""Losses: what a network learns from: labels, and the outputs of the float network that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from bitwright.errors import SampleError


def outputs_of(made: Any) -> tuple[Tensor, ...]:
    """The outputs of a network as a tuple."""
    return made if isinstance(made, tuple) else (made,)


def gives_probabilities(model: ir.Model) -> bool:
    """Whether the first output is that of a Softmax."""
    producer = model.graph.outputs[0].producer()
    return producer is not None and producer.op_type == "Softmax"


def log_probabilities(scores: Tensor, *, are_probabilities: bool) -> Tensor:
    """Scores of classes [N, classes] as logarithms of probabilities."""
    if are_probabilities:
        return scores.float().clamp(min=1e-7).log()
    return functional.log_softmax(scores.float(), dim=-1)


def distillation_loss(
    made: Sequence[Tensor], taught: Sequence[Tensor], *, are_probabilities: bool, temperature: float = 1.0
) -> Tensor:
    """How far outputs are from a teacher's.

        [N, classes]  Kullback-Leibler divergence of softmax(outputs / T), times T^2
        others        mean squared error, over the mean square of the teacher's

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network.
    """
    total = torch.zeros((), device=made[0].device)
    for ours, theirs in zip(made, taught, strict=True):
        if not theirs.is_floating_point():
            continue
        if theirs.dim() == 2 and theirs.shape[1] > 1:
            t = 1.0 if are_probabilities else temperature
            ours_log = log_probabilities(ours.float() / t, are_probabilities=are_probabilities)
            theirs_log = log_probabilities(theirs.float() / t, are_probabilities=are_probabilities)
            total = total + t * t * functional.kl_div(ours_log, theirs_log, reduction="batchmean", log_target=True)
        else:
            power = theirs.float().square().mean().clamp(min=1e-12)
            total = total + functional.mse_loss(ours.float(), theirs.float()) / power
    return total


def label_loss(made: Tensor, labels: Tensor, *, are_probabilities: bool) -> Tensor:
    """Cross-entropy of classes; mean squared error of labels that are reals.

    Raises:
        SampleError: labels that the output has no room for.
    """
    if labels.dtype == torch.int64:
        return functional.nll_loss(log_probabilities(made, are_probabilities=are_probabilities), labels)
    if made.numel() != labels.numel():
        raise SampleError(
            f"labels are reals, one a sample, and the output is {list(made.shape)}",
            next="labels of classes are whole numbers; or give a loss",
        )
    return functional.mse_loss(made.float().reshape(labels.shape), labels.float())


def check_classes(made: Tensor, labels: Tensor) -> None:
    """Refuse labels of classes that scores [N, classes] do not have.

    Raises:
        SampleError: there is one.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= made.shape[1]:
        raise SampleError(
            f"the labels have classes {low} to {high}, and the network gives scores of {made.shape[1]}",
            next=f"labels are whole numbers from 0 to {made.shape[1] - 1}",
        )


def is_correct(made: Tensor, labels: Tensor) -> Tensor:
    """Whether the largest score is that of the label, [N]."""
    return made.argmax(dim=-1) == labels
