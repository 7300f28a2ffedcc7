"""quantize_graph: the modes of TensorFlow's script."""

from __future__ import annotations

import zlib

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.compat.graph_transforms import quantize_graph
from bitwright.compat.graph_transforms.script import MODES
from bitwright.errors import TransformError, UsageError
from bitwright.graph.constants import QuantizedTensor
from bitwright.graph.execution import Execution


def weight(model, name="fc_w"):
    """A constant as floats."""
    return model.graph.graph.initializers[name].const_value.numpy()


@pytest.mark.parametrize("mode", MODES)
def test_quantize_graph_stays_close_to_float(mode, network, distance):
    """Eight bits, whatever the mode; floats in and floats out."""
    model = quantize_graph(network, "softmax", mode).model

    graph = model.to_ir().graph
    assert distance(model) > 30
    assert {graph.inputs[0].dtype, graph.outputs[0].dtype} == {ir.DataType.FLOAT}
    assert [value.name for value in graph.outputs] == ["softmax"]


@pytest.mark.parametrize("mode", MODES)
def test_quantize_graph_keeps_what_the_outputs_need(mode, network):
    """Nodes behind the wanted ones go."""
    model = quantize_graph(network, ["relu"], mode).model

    assert [value.name for value in model.graph.graph.outputs] == ["relu"]
    assert "fc_w" not in model.graph.graph.initializers


@pytest.mark.parametrize(("bits", "values"), [(8, 256), (4, 16), (1, 2)])
def test_round_takes_evenly_spaced_values(bits, values, network):
    """2^bitdepth of them from the least to the greatest; normalizations stay."""
    model = quantize_graph(network, "softmax", "round", bits).model

    found, given = np.unique(weight(model)), weight(network)
    assert len(found) <= values
    assert (found[0], found[-1]) == pytest.approx((given.min(), given.max()))
    step = (given.max() - given.min()) / (values - 1)
    np.testing.assert_allclose((found - found[0]) / step, np.rint((found - found[0]) / step), atol=1e-3)
    np.testing.assert_array_equal(weight(model, "gamma"), weight(network, "gamma"))


def test_quantize_puts_numbers_into_eight_bits_and_back(network, samples):
    """Weights have at most 256 values, and so have each run's activations before and behind a layer."""
    model = quantize_graph(network, "softmax", "quantize").model

    assert len(np.unique(weight(model))) <= 256
    assert not any(isinstance(v.const_value, QuantizedTensor) for v in model.graph.graph.initializers.values())
    reals = [n.outputs[0].name for n in model.graph.graph if n.op_type == "DequantizeLinear"]
    found = Execution(model.graph, reals).run({"input_data": samples})
    assert len(reals) == 4
    assert all(len(np.unique(array)) <= 256 for array in found.values())


def test_eightbit_is_eight_bits_inside(network, samples, distance, ops):
    """Without ranges they are found in each run; with samples they are constants, and no pair is left to remove."""
    dynamic = quantize_graph(network, "softmax", "eightbit").model
    full = quantize_graph(network, "softmax", "eightbit", calibration={"input_data": samples}).model

    assert {"ConvInteger", "DynamicQuantizeMatMul"} <= set(ops(dynamic))
    assert full.plan.counts()["integer"] == 4
    assert distance(full) > 33
    for node in full.to_ir().graph:
        if node.op_type == "QuantizeLinear":
            before = node.inputs[0].producer()
            assert before is None or before.op_type != "DequantizeLinear"


def test_eightbit_takes_ranges(network):
    """Fallback and input ranges as the script had them."""
    model = quantize_graph(
        network,
        "softmax",
        "eightbit",
        quantized_input=True,
        quantized_input_min=-4,
        quantized_input_max=4,
        quantized_fallback_min=-6,
        quantized_fallback_max=6,
    ).model

    assert model.to_ir().graph.inputs[0].dtype == ir.DataType.UINT8
    assert model.plan.tensors["relu"].qparams.scale[0] == pytest.approx(6 / 255)  # a Relu gives nothing below 0


def test_weights_are_stored_in_eight_bits(network, tmp_path):
    """A quarter of the bytes, each constant with one DequantizeLinear."""
    model = quantize_graph(network, "softmax", "weights").model

    (written,) = model.save(tmp_path / "w.onnx")
    (whole,) = network.save(tmp_path / "f.onnx")
    assert written.stat().st_size < 0.32 * whole.stat().st_size


def test_weights_rounded_compress(network, tmp_path):
    """Floats as before, and a file that packs into less than half."""
    model = quantize_graph(network, "softmax", "weights_rounded", 4).model

    assert len(np.unique(weight(model))) <= 16
    before, after = (len(zlib.compress(m.save(tmp_path / "m.onnx")[0].read_bytes())) for m in (network, model))
    assert after < before / 2


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"mode": "test"}, UsageError, "unknown mode 'test'"),
        ({"mode": "weights", "bitdepth": 4}, UsageError, "mode weights has no 4 bits"),
        ({"mode": "round", "bitdepth": 0}, UsageError, "mode round has no 0 bits"),
        ({"mode": "round", "quantized_input": True}, UsageError, "quantizes no activations"),
        ({"mode": "weights", "quantized_fallback_max": 6.0}, UsageError, "quantizes no activations"),
        ({"mode": "eightbit", "quantized_fallback_max": 6.0}, TransformError, "must be given together"),
        ({"mode": "round", "output_node_names": "sotfmax"}, TransformError, "no value of the graph is named 'sotfmax'"),
    ],
)
def test_quantize_graph_refuses(arguments, error, told, network):
    """Options that a mode has no use for, half a range, an unknown name."""
    with pytest.raises(error, match=told):
        quantize_graph(network, **arguments)
