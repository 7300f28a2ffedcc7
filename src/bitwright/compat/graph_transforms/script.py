"""quantize_graph: the script that came before the transforms, by its modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.compat.graph_transforms.opening import open_model, value_names
from bitwright.compat.graph_transforms.quantize_nodes import quantize_nodes
from bitwright.compat.graph_transforms.quantize_weights import quantize_weights
from bitwright.compat.graph_transforms.round_trips import quantize_layers, round_layers
from bitwright.compat.graph_transforms.transform import Transformed, names_of
from bitwright.compat.graph_transforms.work import Work
from bitwright.errors import UsageError
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.pipeline import Step, copy_of
from bitwright.transforms.round_weights import SMALLEST_ELEMENTS, round_weights
from bitwright.transforms.strip_unused_nodes import check_names, main_values, strip_unused_nodes

MODES = ("round", "quantize", "eightbit", "weights", "weights_rounded")

#: Modes whose number of bits is free; the others have 8.
FREE_BITS = ("round", "weights_rounded")


def quantize_graph(
    input: Any,
    output_node_names: Sequence[str] | str = (),
    mode: str = "round",
    bitdepth: int = 8,
    *,
    quantized_input: bool = False,
    quantized_input_min: float = 0.0,
    quantized_input_max: float = 1.0,
    quantized_fallback_min: float | None = None,
    quantized_fallback_max: float | None = None,
    target: str | None = None,
    calibration: Any = None,
    preprocess: str | None = None,
) -> Transformed:
    """Rewrite a float model; options as those of TensorFlow's script.

    | mode | what it gives |
    |---|---|
    | round | the constants of layers rounded to 2^bitdepth evenly spaced values; still float |
    | quantize | the constants of layers, and what they read and give, put into 8 bits and back: float |
    | eightbit | floats in, floats out, eight bits inside, nothing quantized twice (`quantize_nodes`) |
    | weights | every float constant stored in 8 bits and dequantized where it is read |
    | weights_rounded | every float constant in one of 2^bitdepth buckets; still float, so that the file compresses |

    Constants of fewer than 16 elements stay in the last two modes. TensorFlow's `round` put an operator RoundToSteps
    behind each layer; here the layer's constants are rounded, and the file holds ONNX's own operators alone.

    Args:
        input: a GraphDef, a path, a Model, or whatever else `bitwright.load` takes; left as it is.
        output_node_names: what is wanted, a list or one text with commas; what it does not need goes.
        mode: see above.
        bitdepth: of round and weights_rounded.
        quantized_input, quantized_input_min, quantized_input_max: in eightbit, inputs are uint8 and stand for this
            range.
        quantized_fallback_min, quantized_fallback_max: in eightbit, the range of activations that nothing is known of.
        target: onnxruntime or litert; that of the model's format by default.
        calibration: in eightbit, samples to take ranges from, which TensorFlow's script had no place for.
        preprocess: of samples that are files, as `bitwright.calibrate` takes it.

    Returns:
        The model, and one step that says what was done.

    Raises:
        UsageError: an unknown mode, or an option that the mode has no use for.
        TransformError: an unknown name, half a range.

    Source: TensorFlow, tools/quantization/quantize_graph.py.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}", next=f"one of {', '.join(MODES)}")
    if mode != "eightbit" and (
        quantized_input or calibration is not None or (quantized_fallback_min, quantized_fallback_max) != (None, None)
    ):
        raise UsageError(f"mode {mode} quantizes no activations, so there are no ranges to give", next="mode eightbit")
    if not 1 <= bitdepth <= 16 or (bitdepth != 8 and mode not in FREE_BITS):
        raise UsageError(
            f"mode {mode} has no {bitdepth} bits",
            next=f"1 to 16 bits with mode {' or '.join(FREE_BITS)}; `bitwright quantize --weight-bits` stores fewer",
        )
    names = names_of(output_node_names)
    model = open_model(input, (), names)
    outputs = value_names(model.graph.graph, names)
    check_names(main_values(model.graph), outputs)
    work = Work(model, (), outputs, target, calibration, preprocess)
    graph = copy_of(model.to_ir())
    lift_constants(graph)
    strip_unused_nodes(graph, outputs=outputs)
    if mode == "round":
        done = f"{round_layers(graph, 1 << bitdepth)} constants of layers rounded to {1 << bitdepth} values"
    elif mode == "quantize":
        done = f"{quantize_layers(graph)} layers put into 8 bits and back"
    elif mode == "weights_rounded":
        done = round_weights(graph, num_steps=1 << bitdepth, minimum_size=SMALLEST_ELEMENTS).message
    work.take(graph)
    if mode == "weights":
        done = quantize_weights(work, minimum_size=SMALLEST_ELEMENTS).message
    elif mode == "eightbit":
        ends = (quantized_input_min, quantized_input_max) if quantized_input else (None, None)
        done = quantize_nodes(
            work,
            input_min=ends[0],
            input_max=ends[1],
            fallback_min=quantized_fallback_min,
            fallback_max=quantized_fallback_max,
        ).message
    return Transformed(work.model, (Step(mode, True, done),))
