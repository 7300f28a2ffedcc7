"""fuse_convolutions: zeros that a Pad puts around an image are the convolution's own padding."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bitwright.graph.attributes import ints_attribute
from bitwright.graph.constants import array_of
from bitwright.transforms.outcome import Outcome, told
from bitwright.transforms.rewiring import is_op, remove


def fuse_convolutions(model: ir.Model) -> Outcome:
    """Let every Conv that reads a Pad of zeros pad its image itself.

        Conv(Pad(x, p), pads=q) = Conv(x, pads=p + q)

    A Pad that others read too stays for them. What TensorFlow fused beside this stays as it is, with the reason: a Conv
    of ONNX neither mirrors its border nor resizes its image.

    Args:
        model: changed in place.

    Source: TensorFlow's Graph Transform Tool, `fuse_convolutions` (fuse_pad_and_conv, fuse_resize_and_conv,
    fuse_resize_pad_and_conv).
    """
    fused, left = 0, []
    for node in list(model.graph):
        before = node.inputs[0].producer() if is_op(node, "Conv") and node.inputs[0] is not None else None
        if before is None or before.graph is not node.graph or not is_op(before, "Pad", "Resize"):
            continue
        reason = fuse(before, node)
        if reason:
            left.append(reason)
        else:
            fused += 1
    return Outcome(model, fused > 0, told(f"{fused} paddings fused", left))


def fuse(pad: ir.Node, conv: ir.Node) -> str:
    """Fuse one pair; the reason why not, "" when it is done."""
    amounts = zeros_around(pad)
    if isinstance(amounts, str):
        return amounts
    automatic = conv.attributes.get("auto_pad")
    if automatic is not None and (automatic.is_ref() or automatic.as_string() not in ("NOTSET", "VALID")):
        return "the Conv pads by the size of its image"
    rank = len(amounts) // 2
    edges = [*amounts[2:rank], *amounts[rank + 2 :]]
    own = ints_attribute(conv, "pads") or (0,) * len(edges)
    conv.attributes["pads"] = ir.AttrInt64s("pads", [a + b for a, b in zip(edges, own, strict=True)])
    conv.attributes.pop("auto_pad", None)
    padded = pad.outputs[0]
    conv.replace_input_with(0, pad.inputs[0])
    if not padded.uses() and not padded.is_graph_output():
        remove(pad)
    return ""


def zeros_around(pad: ir.Node) -> list[int] | str:
    """How many zeros a Pad puts before and behind every axis, or the reason why a Conv cannot."""
    if is_op(pad, "Resize"):
        return "a Conv of ONNX does not resize its image"
    mode = pad.attributes.get("mode")
    if mode is not None and (mode.is_ref() or mode.as_string() != "constant"):
        return f"a Conv of ONNX pads with zeros, not {mode.name} {mode.value!r}"
    data, given = pad.inputs[0], array_of(pad.inputs[1]) if len(pad.inputs) > 1 else None
    if data is None or given is None:
        return "the amounts of the Pad are not constant"
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    filled = array_of(value)
    if value is not None and (filled is None or np.any(filled)):
        return "the Pad fills with another number than 0"
    axes = pad.inputs[3] if len(pad.inputs) > 3 else None
    chosen = array_of(axes)
    if axes is not None and (chosen is None or data.shape is None):
        return "the axes of the Pad are not known"
    rank = len(data.shape) if chosen is not None and data.shape is not None else given.size // 2
    places = range(rank) if chosen is None else [int(axis) % rank for axis in chosen]
    amounts = [0] * (2 * rank)
    for index, place in enumerate(places):
        amounts[place], amounts[rank + place] = int(given[index]), int(given[len(places) + index])
    if min(amounts) < 0 or any(amounts[i] for i in (0, 1, rank, rank + 1)):
        return "the Pad cuts, or pads beside the image"
    return amounts
