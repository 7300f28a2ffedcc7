"""Trial: one batch through a network before it is trained, so that data that does not fit it is told at once."""

from __future__ import annotations

import torch

from bitwright.calibration.feeds import input_specs
from bitwright.errors import UsageError
from bitwright.training.batches import Table
from bitwright.training.losses import check_classes, outputs_of
from bitwright.training.network import Network


@torch.no_grad()
def try_batch(network: Network, table: Table, batch_size: int, *, needs_labels: bool) -> bool:
    """Run the first rows in eval mode, as large as batches will be.

    Args:
        network: left as it is.
        table: what it will be trained on.
        batch_size: rows of a batch.
        needs_labels: whether labels are learned from.

    Returns:
        Whether labels are classes that the first output has scores of.

    Raises:
        UsageError: the graph takes batches of another size alone, or has no scores for labels of classes.
        SampleError: a class that has no score.
    """
    batch = next(table.in_order(batch_size)).to(next(network.parameters()).device)
    was_training = network.training
    try:
        first = outputs_of(network.eval()(**batch.inputs))[0]
    except RuntimeError as error:
        fixed = {spec.shape[0] for spec in input_specs(network.graph) if spec.shape}
        size = fixed.pop() if len(fixed) == 1 else None
        if not isinstance(size, int) or size == len(batch):
            raise
        raise UsageError(
            f"the graph is of batches of {size}, and a batch of {len(batch)} does not run in it",
            next=f"take batch_size={size}, or give the model with a free batch",
        ) from error
    finally:
        network.train(was_training)
    labels = table.whole.labels
    if labels is None or labels.dtype != torch.int64:
        return False
    if needs_labels and first.dim() != 2:
        raise UsageError(
            f"labels are classes, and the first output, {list(first.shape)}, is no scores of classes",
            next="distill=1 learns from the float network alone",
        )
    if needs_labels:
        check_classes(first, labels)
    return first.dim() == 2 and 0 <= int(labels.min()) <= int(labels.max()) < first.shape[1]
