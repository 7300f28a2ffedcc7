"""prune_channels: channels that matter little go, until the graph has so many multiply-accumulates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from bitwright.errors import TransformError
from bitwright.transforms.channels.choose import choose
from bitwright.transforms.channels.cut import cut
from bitwright.transforms.channels.follow import follow
from bitwright.transforms.channels.groups import costs_of, groups_of
from bitwright.transforms.channels.macs import multiply_accumulates
from bitwright.transforms.channels.scoring import CRITERIA, scores_of
from bitwright.transforms.channels.trace import Ids, Trace, name_of
from bitwright.transforms.outcome import told
from bitwright.transforms.shapes import infer_shapes


@dataclass(frozen=True)
class Removal:
    """A graph with fewer channels, and what was removed.

    Args:
        model: the smaller graph; the one it came from is as it was.
        removed: the number of output channels before and after, of every layer that lost some.
        macs_before: multiply-accumulates of the layers for one sample, before.
        macs_after: and now.
        pinned: the layers none of whose output channels may go, and why.
    """

    model: ir.Model
    removed: dict[str, tuple[int, int]]
    macs_before: int
    macs_after: int
    pinned: dict[str, str]


def prune_channels(
    model: ir.Model,
    *,
    keep: float,
    criterion: str = "magnitude",
    multiple_of: int = 8,
    exclude: Sequence[str] = (),
) -> Removal:
    """Remove whole channels, so that a graph does at most `keep` of its multiply-accumulates.

    Channels that meet (in a residual sum, a depthwise convolution, a normalization) go together, with all that reads
    and writes them. Those of a result that somebody else sees, or of an operator that is not known here, stay.
    The channels that are left compute what they did, less what the removed ones gave to their sums: fine-tune after it.
    A channel that is zero wherever a layer reads it is removed without a trace.

        macs(result) <= keep * macs(model), and any one group a step larger would be too many

    Args:
        model: a float graph, its input sizes fixed but for the batch. Left as it is.
        keep: the share of the multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul that may stay,
            0 < keep <= 1.
        criterion: what makes a channel important, of `scoring.CRITERIA`.
        multiple_of: the step of a group of at least twice so many channels; it keeps a multiple of it, which kernels
            like. Smaller groups go channel by channel. A group keeps an eighth of its channels in any case.
        exclude: regular expressions; layers whose name matches keep their output channels.

    Raises:
        TransformError: an argument is out of its range; a size is not known; so much cannot be removed.
    """
    check(keep, criterion, multiple_of, exclude)
    smaller = model.clone()
    smaller.graph.sort()
    infer_shapes(smaller)
    macs = multiply_accumulates(smaller)
    trace = follow(smaller, exclude=exclude)
    root = trace.classes()
    groups = groups_of(trace, root)
    costs = costs_of(trace, root, groups, macs)
    scores = scores_of(trace, root, groups, criterion)
    pinned = pinned_layers(trace, root)
    try:
        kept = choose(costs, scores, keep * sum(macs.values()), multiple_of)
    except TransformError as error:
        if pinned:
            error.where = told(f"{len(pinned)} layers keep all channels", list(pinned.values()))
        raise
    gone = np.zeros(trace.count, bool)
    for members, score, number in zip(groups, scores, kept, strict=True):
        gone[members[np.argsort(score, kind="stable")[: len(members) - number]]] = True
    stays = ~gone[root]
    removed = {
        name_of(layer.node): (len(layer.outputs), int(stays[layer.outputs].sum()))
        for layer in trace.layers
        if layer.outputs is not None and not stays[layer.outputs].all()
    }
    cut(trace, stays)
    return Removal(smaller, removed, sum(macs.values()), costs.of(kept), pinned)


def check(keep: float, criterion: str, multiple_of: int, exclude: Sequence[str]) -> None:
    """Refuse arguments out of their range."""
    if not 0 < keep <= 1:
        raise TransformError(
            f"keep must be above 0 and at most 1 (got {keep})", next="0.5 keeps half of the multiply-accumulates"
        )
    if criterion not in CRITERIA:
        raise TransformError(f"no criterion is named {criterion!r}", next=f"choose one of {', '.join(CRITERIA)}")
    if multiple_of < 1:
        raise TransformError(f"multiple_of must be at least 1 (got {multiple_of})", next="leave it out for 8")
    for scope in exclude:
        try:
            re.compile(scope)
        except re.error as error:
            raise TransformError(
                f"{scope!r} is not a regular expression: {error}", next="a plain name matches itself"
            ) from error


def pinned_layers(trace: Trace, root: Ids) -> dict[str, str]:
    """The layers none of whose output channels may go, and the first reason."""
    reasons: dict[int, str] = {}
    for ids, reason in trace.pins:
        for member in np.unique(root[ids]).tolist():
            reasons.setdefault(member, reason)
    found: dict[str, str] = {}
    for layer in trace.layers:
        if layer.outputs is None:
            found[name_of(layer.node)] = trace.refused[layer.node]
        elif all(member in reasons for member in root[layer.outputs].tolist()):
            found[name_of(layer.node)] = reasons[int(root[layer.outputs[0]])]
    return found
