"""Provenance: what a node remembers of the .tflite operator it was raised from, which ONNX has no words for.

Keys of node metadata. Raising writes them, lowering reads them; a node without them is ONNX's own.
"""

from __future__ import annotations

import onnx_ir as ir

#: The operator's states last from run to run: "true".
KEEPS_STATE = "bitwright.keeps_state"

#: Whether activations that are quantized as they arrive get a zero_point: "false" where the file says so.
ASYMMETRIC_INPUTS = "bitwright.asymmetric_quantize_inputs"


def keeps_state(node: ir.Node) -> bool:
    """Whether it stands for an operator whose states last from run to run."""
    return node.metadata_props.get(KEEPS_STATE) == "true"


def has_asymmetric_inputs(node: ir.Node) -> bool:
    """Whether activations that it quantizes as they arrive get a zero_point: yes, unless its file says no."""
    return node.metadata_props.get(ASYMMETRIC_INPUTS) != "false"
