"""TensorFlow's own converter as a person would call it, on the same network: full integer int8 .tflite.

    python bench/tflite_convert.py prepare MODEL.onnx FOLDER         # the same layers and weights as a SavedModel
    python bench/tflite_convert.py convert FOLDER OUTPUT.tflite SAMPLES.npy --samples 128

Needs tensorflow, and onnx for `prepare`. Imports nothing of this repository.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def prepare(model_path: Path, folder: Path) -> None:
    """Write the network as a SavedModel, NHWC, layer by layer."""
    import onnx
    import tensorflow as tf
    from onnx import numpy_helper

    graph = onnx.load(model_path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = tf.keras.layers
    inputs = tf.keras.Input((224, 224, 3), batch_size=1, name="image")
    values: dict[str, Any] = {graph.input[0].name: inputs}
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        x = values[node.input[0]]
        weights = [constants[name] for name in node.input[1:] if name in constants]
        if node.op_type in ("Conv", "MaxPool") and any(attributes.get("pads", ())):
            x = layers.ZeroPadding2D(attributes["pads"][0])(x)  # max pooling follows a ReLU: zeros change nothing
        match node.op_type:
            case "Conv":
                kernel, groups = weights[0].transpose(2, 3, 1, 0), attributes.get("group", 1)
                options = {"strides": attributes["strides"][0], "use_bias": False, "padding": "valid"}
                if groups == 1:
                    layer = layers.Conv2D(kernel.shape[3], kernel.shape[0], **options)
                else:
                    layer = layers.DepthwiseConv2D(kernel.shape[0], **options)
                    kernel = kernel.transpose(0, 1, 3, 2)
                made = layer(x)
                layer.set_weights([kernel])
            case "BatchNormalization":
                layer = layers.BatchNormalization(epsilon=attributes["epsilon"])
                made = layer(x)
                layer.set_weights(weights)
            case "Relu":
                made = layers.ReLU()(x)
            case "Clip":
                made = layers.ReLU(max_value=6.0)(x)
            case "MaxPool":
                made = layers.MaxPooling2D(attributes["kernel_shape"][0], attributes["strides"][0])(x)
            case "Add":
                made = layers.Add()([x, values[node.input[1]]])
            case "GlobalAveragePool":
                made = layers.GlobalAveragePooling2D()(x)
            case "Flatten":
                made = x
            case "Gemm":
                layer = layers.Dense(weights[0].shape[0])
                made = layer(x)
                layer.set_weights([weights[0].T, weights[1]])
            case other:
                raise SystemExit(f"{other} is not known here")
        values[node.output[0]] = made
    network = tf.keras.Model(inputs, values[graph.output[0].name])
    check(model_path, network)
    network.export(folder)


def check(model_path: Path, network: Any) -> None:
    """The two networks compute the same."""
    import onnxruntime

    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    wanted = onnxruntime.InferenceSession(model_path).run(None, {"image": image})[0]
    error = np.abs(wanted - network(image.transpose(0, 2, 3, 1)).numpy()).max() / np.abs(wanted).max()
    print(f"largest difference {error:.2e} of the largest score")
    assert error < 1e-4


def convert(folder: Path, output: Path, samples: Path, count: int) -> None:
    """SavedModel -> int8 .tflite."""
    import tensorflow as tf

    def rows() -> Iterator[list[np.ndarray]]:
        array = np.load(samples, mmap_mode="r")
        for row in array[:count]:
            yield [np.ascontiguousarray(row.transpose(1, 2, 0))[None]]

    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(folder))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    output.write_bytes(converter.convert())


def main() -> None:
    """Prepare or convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepared = verbs.add_parser("prepare")
    prepared.add_argument("model", type=Path)
    prepared.add_argument("folder", type=Path)
    converted = verbs.add_parser("convert")
    converted.add_argument("folder", type=Path)
    converted.add_argument("output", type=Path)
    converted.add_argument("samples_file", type=Path)
    converted.add_argument("--samples", type=int, default=128)
    arguments = parser.parse_args()
    if arguments.verb == "prepare":
        prepare(arguments.model, arguments.folder)
    else:
        convert(arguments.folder, arguments.output, arguments.samples_file, arguments.samples)


if __name__ == "__main__":
    main()
