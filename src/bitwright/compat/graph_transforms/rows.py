"""Names of TensorFlow's list that `bitwright.transforms` has not: what quantizes, and what has no meaning here."""

from __future__ import annotations

from bitwright.compat.graph_transforms.freeze_requantization_ranges import freeze_requantization_ranges
from bitwright.compat.graph_transforms.insert_logging import insert_logging
from bitwright.compat.graph_transforms.quantize_nodes import quantize_nodes
from bitwright.compat.graph_transforms.quantize_weights import quantize_weights
from bitwright.transforms.arguments import names, number, truth, whole_number, word
from bitwright.transforms.registry import TRANSFORMS, Transform

#: By name; their functions take a `Work` in the place of a model.
QUANTIZING: dict[str, Transform] = {
    "freeze_requantization_ranges": Transform(
        freeze_requantization_ranges,
        "make ranges of a log constants: dynamic arithmetic becomes full-integer",
        {"min_max_log_file": word, "min_percentile": number, "max_percentile": number},
        required=("min_max_log_file",),
    ),
    "insert_logging": Transform(
        insert_logging,
        "make inner values outputs, for `log_values` to write",
        {
            "op": names,
            "prefix": names,
            "show_op": truth,
            "show_name": truth,
            "message": word,
            "first_n": whole_number,
            "summarize": whole_number,
        },
    ),
    "quantize_nodes": Transform(
        quantize_nodes,
        "compute in eight bits what has such a form",
        {"input_min": number, "input_max": number, "fallback_min": number, "fallback_max": number},
    ),
    "quantize_weights": Transform(
        quantize_weights, "store large constants in eight bits", {"minimum_size": whole_number}
    ),
}

#: Other spellings: older releases', and the parts that a documented name stood for.
ALIASES = {
    "obsfucate_names": "obfuscate_names",
    "fuse_pad_and_conv": "fuse_convolutions",
    "fuse_resize_and_conv": "fuse_convolutions",
    "fuse_resize_pad_and_conv": "fuse_convolutions",
    "remove_redundant_quantizations": "remove_redundant_quantization",
}

#: What does nothing here, and why.
WITHOUT_MEANING = {
    "set_device": "ONNX nodes have no device: the runtime that loads the file chooses",
    "remove_device": "ONNX nodes have no device, so there is none to remove",
    "remove_control_dependencies": "ONNX has no control dependencies: nodes run when what they read is there",
    "backport_concatv2": "ONNX has one Concat, for every runtime",
    "backport_tensor_array_v3": "ONNX has no TensorArray",
    "flatten_atrous_conv": "a Conv of ONNX has dilations: reading a GraphDef has put them there",
    "fake_quantize_training": "fake quantization is put in when training starts: `bitwright qat`",
}

#: Arguments of theirs that are read and change nothing.
PASSED_OVER = {"set_device": ("device", "if_default")}


def known() -> dict[str, str]:
    """Every name that a list may hold, with what it does in one line."""
    rows = {name: row.description for name, row in (TRANSFORMS | QUANTIZING).items()}
    rows |= {name: f"nothing: {why}" for name, why in WITHOUT_MEANING.items()}
    return dict(sorted(rows.items()))
