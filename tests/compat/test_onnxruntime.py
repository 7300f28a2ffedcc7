"""quantize_static, quantize_dynamic, quantize and quant_pre_process: each argument does what it says."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import onnxruntime.quantization as theirs
import pytest
from onnx import TensorProto, helper, numpy_helper

import bitwright.compat.onnxruntime as ours
from bitwright.compat.onnxruntime.quantization.preprocess import main as preprocess
from bitwright.errors import OutputError, StatisticsError, UsageError

INTEGERS = {"i8": TensorProto.INT8, "u8": TensorProto.UINT8, "i16": TensorProto.INT16}


class Reader:
    """Ten fixed samples; not derived from CalibrationDataReader, as many are."""

    def __init__(self) -> None:
        rows = np.random.default_rng(1).standard_normal((10, 1, 3, 8, 8)).astype(np.float32)
        self.rows = iter([{"x": row} for row in rows])

    def get_next(self):
        return next(self.rows, None)


@pytest.fixture
def net():
    """conv1 - Relu - conv2 - Flatten - fc1 (MatMul, Add) - fc2 (Gemm)."""
    rng = np.random.default_rng(0)
    held = {
        "w1": rng.standard_normal((8, 3, 3, 3)),
        "b1": rng.standard_normal(8),
        "w2": rng.standard_normal((4, 8, 3, 3)),
        "w3": rng.standard_normal((256, 16)),
        "b3": rng.standard_normal(16),
        "w4": rng.standard_normal((16, 10)),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], name="relu1"),
        node("Conv", ["r1", "w2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        node("Flatten", ["c2"], ["f"], name="flatten"),
        node("MatMul", ["f", "w3"], ["m"], name="fc1"),
        node("Add", ["m", "b3"], ["a"], name="fc1_bias"),
        node("Gemm", ["a", "w4"], ["y"], name="fc2"),
    ]
    ports = [helper.make_tensor_value_info("x", 1, [1, 3, 8, 8]), helper.make_tensor_value_info("y", 1, [1, 10])]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def static(net, folder, **arguments) -> onnx.ModelProto:
    """What quantize_static writes, read again."""
    ours.quantize_static(net, folder / "out.onnx", Reader(), **arguments)
    return onnx.load(folder / "out.onnx")


def weight_type(model: onnx.ModelProto, name: str) -> int:
    """The type of the stored weight that a node reads through DequantizeLinear, or reads as it is."""
    node = next(node for node in model.graph.node if node.name == name)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    through = {out: n for n in model.graph.node if n.op_type == "DequantizeLinear" for out in n.output}
    operand = node.input[1]
    return stored[through[operand].input[0] if operand in through else operand].data_type


def stored_weight(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The integers of a node's weight."""
    node = next(node for node in model.graph.node if node.name == name)
    made = {out: n for n in model.graph.node for out in n.output}[node.input[1]]
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == made.input[0]))


def port_type(model: onnx.ModelProto) -> int:
    """What the input is quantized to."""
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "x")
    return next(t for t in model.graph.initializer if t.name == node.input[2]).data_type


def test_static_reads_a_path_and_a_proto_alike(net, tmp_path):
    """Both give the same file."""
    onnx.save(net, tmp_path / "net.onnx")

    made = [static(source, tmp_path).SerializeToString() for source in (net, str(tmp_path / "net.onnx"))]

    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("activations", "weights", "stored"),
    [("QInt8", "QInt8", ("i8", "i8")), ("QUInt8", "QUInt8", ("u8", "u8")), ("QInt16", "QInt8", ("i16", "i8"))],
)
@pytest.mark.parametrize("types", [ours.QuantType, theirs.QuantType], ids=["our-members", "their-members"])
def test_static_stores_the_types_that_are_asked(activations, weights, stored, types, net, tmp_path):
    """Members of either enumeration name the types of activations and weights."""
    model = static(net, tmp_path, activation_type=types[activations], weight_type=types[weights])

    assert (INTEGERS[stored[0]], INTEGERS[stored[1]]) == (port_type(model), weight_type(model, "conv1"))


def test_static_by_default_is_int8_per_tensor(net, tmp_path):
    """As ONNX Runtime's defaults: one scale a weight."""
    model = static(net, tmp_path)

    scales = {t.name: list(t.dims) for t in model.graph.initializer if t.name.endswith("scale")}
    assert (port_type(model), weight_type(model, "fc2")) == (TensorProto.INT8, TensorProto.INT8)
    assert all(dims in ([], [1]) for dims in scales.values())


def test_static_reduce_range_keeps_weights_in_7_bits(net, tmp_path):
    """Weights reach 63, where they reach 127 without it."""
    reduced, whole = (
        np.abs(stored_weight(static(net, tmp_path, reduce_range=r), "conv1")).max() for r in (True, False)
    )

    assert (reduced, whole) == (63, 127)


@pytest.mark.parametrize(
    ("arguments", "quantized"),
    [
        pytest.param({"op_types_to_quantize": ["Conv"]}, {"conv1", "conv2"}, id="types"),
        pytest.param({"op_types_to_quantize": ["MatMul"]}, {"fc1"}, id="a-matmul-that-becomes-a-gemm"),
        pytest.param({"nodes_to_quantize": ["conv2", "fc2"]}, {"conv2", "fc2"}, id="nodes"),
        pytest.param({"nodes_to_exclude": ["conv1"]}, {"conv2", "fc1", "fc2"}, id="exclude"),
        pytest.param(
            {"op_types_to_quantize": ["Conv", "Gemm"], "nodes_to_exclude": ["conv2"]}, {"conv1", "fc2"}, id="both"
        ),
    ],
)
def test_static_quantizes_the_nodes_that_are_asked(arguments, quantized, net, tmp_path):
    """Other weights stay float32."""
    model = static(net, tmp_path, **arguments)

    found = {name for name in ("conv1", "conv2", "fc1", "fc2") if weight_type(model, name) == TensorProto.INT8}
    assert quantized == found


def test_static_warns_of_names_that_are_no_nodes(net, tmp_path):
    """A misspelt name is said in one line."""
    with pytest.warns(UserWarning, match="nodes_to_exclude names no nodes of the model: conv9"):
        static(net, tmp_path, nodes_to_exclude=["conv9", "conv1"])


def test_static_output_is_near_the_float_one(net, tmp_path):
    """The file runs, and differs from float by less than 5 % of its range."""
    static(net, tmp_path, activation_type=ours.QuantType.QUInt8, per_channel=True)
    x = Reader().get_next()

    wanted, found = (
        onnxruntime.InferenceSession(model).run(None, x)[0]
        for model in (net.SerializeToString(), tmp_path / "out.onnx")
    )

    assert np.abs(wanted - found).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"quant_format": theirs.QuantFormat.QOperator}, "QOperator is not written"),
        ({"activation_type": theirs.QuantType.QFLOAT8E4M3FN}, "QFLOAT8E4M3FN is not written"),
        ({"weight_type": ours.QuantType.QUInt16}, "QUInt16 is not written"),
        ({"weight_type": ours.QuantType.QUInt8}, "no kernels for QInt8 activations with QUInt8 weights"),
        ({"calibrate_method": ours.CalibrationMethod.Distribution}, "Distribution is for float8"),
        ({"calibrate_method": "Median"}, "calibrate_method cannot be 'Median'"),
        ({"extra_options": {"SmoothQuant": True}}, "SmoothQuant = True is not offered"),
    ],
)
def test_static_refuses_what_is_not_offered(arguments, what, net, tmp_path):
    """By name, with what to do instead; nothing is written."""
    with pytest.raises(UsageError, match=what) as caught:
        static(net, tmp_path, **arguments)

    assert caught.value.next
    assert list(tmp_path.iterdir()) == []


def test_static_without_samples_or_cache_is_refused(net, tmp_path):
    """As ONNX Runtime does."""
    with pytest.raises(UsageError, match="nothing to calibrate on"):
        ours.quantize_static(net, tmp_path / "out.onnx")


def test_static_external_data_goes_beside_the_model(net, tmp_path):
    """use_external_data_format writes constants into a second file that ONNX Runtime finds."""
    static(net, tmp_path, use_external_data_format=True)

    assert (tmp_path / "out.onnx.data").exists()
    onnxruntime.InferenceSession(tmp_path / "out.onnx")


def test_static_refuses_a_folder_that_is_not_there(net, tmp_path):
    """The output's folder must exist."""
    with pytest.raises(OutputError):
        static(net, tmp_path / "none")


def test_static_cache_stands_for_the_samples(net, tmp_path):
    """The first run writes it; the second has no reader and gives the same bytes."""
    cache = tmp_path / "ranges.json"
    first = static(net, tmp_path, calibration_cache_path=cache).SerializeToString()

    ours.quantize_static(net, tmp_path / "again.onnx", calibration_cache_path=cache)

    assert first == onnx.load(tmp_path / "again.onnx").SerializeToString()
    with pytest.raises(StatisticsError, match="of method MinMax, and Entropy is asked"):
        static(net, tmp_path, calibration_cache_path=cache, calibrate_method=ours.CalibrationMethod.Entropy)


def test_static_caches_are_read_by_both_packages(net, tmp_path):
    """ONNX Runtime reads ours; we read its own, and quantize the input in its range."""
    net_path, ours_path, theirs_path = (str(tmp_path / name) for name in ("net.onnx", "ours.json", "theirs.json"))
    onnx.save(net, net_path)
    theirs.quantize_static(net_path, tmp_path / "t.onnx", Reader(), calibration_cache_path=theirs_path)

    ours.quantize_static(net_path, tmp_path / "o.onnx", calibration_cache_path=theirs_path)
    static(net, tmp_path, calibration_cache_path=ours_path)

    told = theirs.load_tensors_data(theirs_path)["x"].range_value
    assert np.allclose(told, theirs.load_tensors_data(ours_path)["x"].range_value)
    scales = [t for t in onnx.load(tmp_path / "o.onnx").graph.initializer if t.name.startswith("x_")]
    assert any(np.isclose(numpy_helper.to_array(t).max(), (told[1] - told[0]) / 255) for t in scales)


def test_static_damaged_cache_is_refused(net, tmp_path):
    """Another JSON file is no cache."""
    (tmp_path / "ranges.json").write_text(json.dumps({"data": {}}))

    with pytest.raises(StatisticsError, match="not a calibration cache"):
        static(net, tmp_path, calibration_cache_path=tmp_path / "ranges.json")


def test_dynamic_quantizes_products_and_gemms_alike(net, tmp_path):
    """A Gemm counts as MatMul, as in ONNX Runtime, and Conv stays float when it is not named."""
    ours.quantize_dynamic(net, tmp_path / "out.onnx", op_types_to_quantize=["MatMul"])

    kinds = [node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node]
    assert (kinds.count("DynamicQuantizeMatMul"), kinds.count("Conv"), kinds.count("MatMul")) == (2, 2, 0)


def test_dynamic_warns_that_unsigned_weights_are_signed(net, tmp_path):
    """QUInt8 is said to be stored as QInt8."""
    with pytest.warns(UserWarning, match="QUInt8 weights are stored as QInt8"):
        ours.quantize_dynamic(net, tmp_path / "out.onnx", weight_type=theirs.QuantType.QUInt8)


def test_quantize_calls_what_the_configuration_holds(net, tmp_path):
    """Ours and ONNX Runtime's own configuration objects give what the functions give."""
    ours.quantize_dynamic(net, tmp_path / "function.onnx", per_channel=True)
    ours.quantize(net, tmp_path / "ours.onnx", ours.DynamicQuantConfig(per_channel=True))
    ours.quantize(net, tmp_path / "theirs.onnx", theirs.DynamicQuantConfig(per_channel=True))

    made = {(tmp_path / f"{name}.onnx").read_bytes() for name in ("function", "ours", "theirs")}
    assert len(made) == 1
    with pytest.raises(UsageError, match="a configuration cannot be dict"):
        ours.quantize(net, tmp_path / "out.onnx", {})


def test_preprocess_folds_and_marks_the_model(net, tmp_path):
    """MatMul and Add are one Gemm, shapes are known, and ONNX Runtime's quantizer takes it as prepared."""
    ours.quant_pre_process(net, tmp_path / "p.onnx")

    made = onnx.load(tmp_path / "p.onnx")
    kinds = [node.op_type for node in made.graph.node]
    assert kinds == ["Conv", "Relu", "Conv", "Flatten", "Gemm", "Gemm"]
    assert {"c1", "r1", "c2"} <= {value.name for value in made.graph.value_info}
    assert theirs.quant_utils.model_has_pre_process_metadata(made)


def test_preprocess_leaves_out_what_is_skipped(net, tmp_path):
    """Without optimization the nodes stay; without shapes too, none is inferred."""
    ours.quant_pre_process(net, tmp_path / "p.onnx", True)
    ours.quant_pre_process(net, tmp_path / "q.onnx", True, True, True)

    inferred, as_it_is = onnx.load(tmp_path / "p.onnx"), onnx.load(tmp_path / "q.onnx")
    assert "MatMul" in [node.op_type for node in inferred.graph.node]
    assert inferred.graph.value_info
    assert [node.op_type for node in as_it_is.graph.node] == [node.op_type for node in net.graph.node]


def test_preprocess_runs_as_a_command(net, tmp_path, capsys):
    """--input and --output; an input that is not there is said, and exits with 1."""
    onnx.save(net, tmp_path / "net.onnx")

    done = preprocess(["--input", str(tmp_path / "net.onnx"), "--output", str(tmp_path / "p.onnx")])
    refused = preprocess(["--input", str(tmp_path / "none.onnx"), "--output", str(tmp_path / "q.onnx")])

    assert (done, refused) == (0, 1)
    assert (tmp_path / "p.onnx").exists()
    assert "does not exist" in capsys.readouterr().err


def test_import_is_light():
    """Neither ONNX Runtime nor the graph library is loaded by the import."""
    heavy = ["onnx", "onnx_ir", "onnxruntime"]
    code = f"import sys, bitwright.compat.onnxruntime; print([name for name in {heavy} if name in sys.modules])"

    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
