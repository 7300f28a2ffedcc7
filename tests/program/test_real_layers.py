"""Operators with weights of real files, one by one, fed what LiteRT fed them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bitwright.formats.tflite.read import read_tflite
from bitwright.program.definition import Call
from bitwright.program.registry import DEFINITIONS

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@pytest.mark.parametrize(
    "name", ["resnet8_cifar10_int8", "kws_dscnn_int8", "vww_mobilenetv1_int8", "toycar_autoencoder_int8"]
)
def test_layers_of_a_real_file_have_the_integers_of_the_reference_kernels(peer, name):
    """Every operator with weights, fed what LiteRT fed it, on two random inputs."""
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("real models are read from ../shared/models, which is absent")
    program = read_tflite(path.read_bytes())
    rng = np.random.default_rng(0)
    differing: Counter[str] = Counter()
    for _ in range(2):
        feeds = {}
        for port in program.inputs:
            tensor = program.tensors[port.tensor]
            is_float = tensor.dtype == "f32"
            drawn_values = rng.standard_normal(tensor.shape) if is_float else rng.integers(-128, 128, tensor.shape)
            feeds[port.name] = drawn_values.astype(np.float32 if is_float else np.int8)
        values = peer.litert_tensors(path.read_bytes(), program, feeds)
        for operator in program.operators:
            if operator.kind in KINDS:
                arrays = tuple(None if n is None else values[n] for n in operator.inputs)
                call = Call(operator, program.operands(operator), program.results(operator), arrays)
                (made,) = DEFINITIONS[operator.kind].reference(call)
                differing[operator.kind] += int((made != values[operator.outputs[0]]).sum())

    assert differing
    assert dict.fromkeys(differing, 0) == differing
