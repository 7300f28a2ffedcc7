"""Every mode on every kind of network: the file is valid, runs, is near to float, and reads back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import Execution, open_session, random_feeds
from bitwright.numerics.metrics import sqnr_db

#: Output SQNR in dB, well below what was measured (in brackets) and far above what a wrong scale gives.
BARS = {
    "float16": 60,  # 68
    "weight-only-8": 33,  # 37
    "weight-only-8-block-64": 33,  # 37
    "weight-only-4": 13,  # 16
    "dynamic": 32,  # 37
    "dynamic-per-tensor": 30,  # 35
    "int8": 30,  # 34
    "int8-i8": 29,  # 33
    "int8-per-tensor": 30,  # 34
    "uint8": 30,  # 33
    "int16x8": 36,  # 40
}


def test_file_is_valid_and_near_to_float(net, mode, float_net, feeds_of, made, run):
    """The checker of onnx passes, ONNX Runtime runs it under the same names, and every output passes the mode's bar."""
    model = float_net(net)
    proto = made(net, mode).to_proto()

    onnx.checker.check_model(proto)

    for feeds in feeds_of(model, count=2):
        expected, got = run(model, feeds), run(proto, feeds)
        assert list(got) == list(expected)
        for name, reference in expected.items():
            assert got[name].dtype == reference.dtype
            assert sqnr_db(reference, got[name]) > BARS[mode]


def test_names_and_types_of_inputs_and_outputs_are_kept(net, mode, float_net, made):
    """Inputs and outputs have the names, element types and shapes they had."""
    before, after = ir.to_proto(float_net(net)).graph, made(net, mode).to_proto().graph

    assert list(before.input) == list(after.input)
    assert [(o.name, o.type.tensor_type.elem_type) for o in before.output] == [
        (o.name, o.type.tensor_type.elem_type) for o in after.output
    ]


def test_names_in_the_file_are_unique(net, mode, made):
    """No two nodes share a name, no two values either."""
    graph = made(net, mode).to_proto().graph

    named = [node.name for node in graph.node if node.name]
    values = [name for node in graph.node for name in node.output if name] + [t.name for t in graph.initializer]
    assert len(set(named)) == len(named)
    assert len(set(values)) == len(values)


def test_plan_of_a_file_is_the_plan_it_was_written_from(net, mode, made):
    """Reading gives every parameter, reason and node again."""
    model = made(net, mode)
    if not model.plan.tensors:
        pytest.skip("nothing is quantized here")

    again = bw.load(model.to_proto())

    assert again.plan == model.plan
    assert list(again.plan.nodes) == list(model.plan.nodes)


def test_bytes_of_a_file_are_those_it_was_read_from(net, mode, made, tmp_path):
    """Write, read, write: the same bytes, in memory and on disk; and writing twice gives the same."""
    model = made(net, mode)
    if not model.plan.tensors:
        pytest.skip("nothing is quantized here")
    model.save(tmp_path / "a.onnx")

    bw.load(tmp_path / "a.onnx").save(tmp_path / "b.onnx")

    proto = model.to_proto().SerializeToString(deterministic=True)
    assert proto == model.to_proto().SerializeToString(deterministic=True)
    assert proto == bw.load(model.to_proto()).to_proto().SerializeToString(deterministic=True)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("weights", ["weight-only-8", "weight-only-8-block-64", "weight-only-4", "float16"])
def test_float_meaning_of_the_graph_is_that_of_the_file(net, weights, made, feeds_of):
    """Where only weights are stored small, the graph in float computes what the file says.

    As written: optimized, ONNX Runtime may round the activations of such a product to 8 bits (MatMulNBits).
    """
    model = made(net, weights)
    session = open_session(model.to_proto().SerializeToString(), optimize=False)

    for feeds in feeds_of(model.graph, count=2):
        expected = Execution(model.graph).run(feeds)
        for output, array in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            largest = np.abs(expected[output.name]).max()
            np.testing.assert_allclose(array, expected[output.name], rtol=1e-4, atol=1e-5 * largest)


def test_weights_take_a_quarter_of_the_bytes(made):
    """The integers are really stored as such: int8 a byte, 4 bits half a byte, float16 two."""
    bits = {"float16": 16, "weight-only-8": 8, "weight-only-4": 4, "dynamic": 8, "int8": 8, "uint8": 8, "int16x8": 8}
    kinds = {
        onnx.TensorProto.FLOAT16: 16,
        onnx.TensorProto.INT8: 8,
        onnx.TensorProto.UINT8: 8,
        onnx.TensorProto.INT4: 4,
    }
    for mode, expected in bits.items():
        largest = max(made("convolutions", mode).to_proto().graph.initializer, key=lambda t: np.prod(list(t.dims)))
        assert list(largest.dims) in ([16, 16, 3, 3], [16, 144])
        assert kinds[largest.data_type] == expected
        assert len(largest.raw_data) == 16 * 144 * expected // 8


SHARED_BARS = {
    "float16": 60,
    "weight-only-8": 28,
    "weight-only-4": 9,
    "dynamic": 27,
    "int8": 26,
    "uint8": 23,
    "int16x8": 31,
}


@pytest.mark.parametrize("name", ["mnist_cnn", "dtln_1", "dtln_2", "resnet20_cifar10", "mobilenetv2_cifar10"])
@pytest.mark.parametrize("kind", SHARED_BARS)
def test_trained_networks_run_and_read_back(name, kind, shared: Path, tmp_path):
    """Networks that people trained, down to opset 8: valid, near to float on random samples, the same when read."""
    path = shared / "models" / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    model = bw.load(path)
    options = {"weight_bits": 4} if kind == "weight-only-4" else {}
    mode = kind.removesuffix("-8").removesuffix("-4")
    feeds = [random_feeds(model.graph, seed=i) for i in range(2)]

    made = bw.quantize(model, mode, calibration=feeds, **options)
    made.save(tmp_path / "small.onnx")

    proto = onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(proto)
    before, after = open_session(path), open_session(tmp_path / "small.onnx")
    assert [o.name for o in before.get_outputs()] == [o.name for o in after.get_outputs()]
    assert [(i.name, i.shape) for i in before.get_inputs()] == [(i.name, i.shape) for i in after.get_inputs()]
    for expected, got in zip(before.run(None, feeds[0]), after.run(None, feeds[0]), strict=True):
        assert sqnr_db(expected, got) > SHARED_BARS[kind]
    again = bw.load(tmp_path / "small.onnx")
    assert again.plan == made.plan
    again.save(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "small.onnx").read_bytes()
