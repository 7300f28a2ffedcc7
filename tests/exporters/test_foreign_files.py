"""Files that another tool quantized: read where we know the forms, else passed through, never changed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import bitwright as bw
from bitwright.graph.constants import QuantizedTensor
from bitwright.graph.execution import open_session


class Reader(CalibrationDataReader):
    """The samples as ONNX Runtime's tool takes them."""

    def __init__(self, feeds):
        self.left = iter(feeds)

    def get_next(self):
        return next(self.left, None)


@pytest.fixture
def foreign(float_net, feeds_of, tmp_path):
    """A network quantized by ONNX Runtime's own tool: the path of the file."""

    def make(net: str, form: str, activations: QuantType = QuantType.QUInt8, *, per_channel: bool = True):
        model = float_net(net)
        onnx.save(ir.to_proto(model), tmp_path / "float.onnx")
        path = tmp_path / "foreign.onnx"
        if form == "dynamic":
            quantize_dynamic(tmp_path / "float.onnx", path, per_channel=per_channel)
        else:
            quantize_static(
                tmp_path / "float.onnx",
                path,
                Reader(feeds_of(model)),
                quant_format=QuantFormat[form],
                per_channel=per_channel,
                activation_type=activations,
            )
        return path

    return make


def integers(path) -> list[tuple[str, bytes]]:
    """The stored integers that are not all zero, without their names."""
    kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT32)
    arrays = [onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.data_type in kinds]
    return sorted((str(a.dtype), a.tobytes()) for a in arrays if a.ndim and a.any())


def assert_same_results(before, after, feeds):
    """Two files compute the same bits."""
    sessions = [open_session(before), open_session(after)]
    assert [o.name for o in sessions[0].get_outputs()] == [o.name for o in sessions[1].get_outputs()]
    for sample in feeds:
        for expected, got in zip(*(s.run(None, sample) for s in sessions), strict=True):
            np.testing.assert_array_equal(got, expected)


NETS = ["convolutions", "depthwise", "mlp", "gemm", "lstm", "gru", "embedding"]


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["u8", "i8"])
@pytest.mark.parametrize("name", NETS)
def test_foreign_pairs_are_a_plan_and_keep_their_integers(name, activations, foreign, float_net, feeds_of, tmp_path):
    """A QDQ file gives a plan; saved again, its integers and its results are the same."""
    path = foreign(name, "QDQ", activations)

    model = bw.load(path)
    model.save(tmp_path / "saved.onnx")

    assert model.plan is not None
    assert "integer" in model.plan.counts()
    assert any(isinstance(v.const_value, QuantizedTensor) for v in model.graph.graph.initializers.values())
    assert integers(tmp_path / "saved.onnx") == integers(path)
    assert_same_results(path, tmp_path / "saved.onnx", feeds_of(float_net(name)))
    assert bw.load(tmp_path / "saved.onnx").plan == model.plan


def test_foreign_plan_says_what_the_file_says(foreign, float_net):
    """Scales, zero_points, axes and types of the plan are those of the file's own constants."""
    path = foreign("convolutions", "QDQ")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}

    plan = bw.load(path).plan

    assert plan.qparams_of("x").storage == "u8"
    np.testing.assert_array_equal(plan.qparams_of("x").scale[0], stored["x_scale"])
    np.testing.assert_array_equal(plan.qparams_of("x").zero_point[0], stored["x_zero_point"])
    weight = next(t for t in plan.tensors.values() if t.role == "weight" and t.qparams.scale.size == 16)
    assert (weight.qparams.storage, weight.qparams.axis) == ("i8", 0)


@pytest.mark.parametrize("per_channel", [False, True], ids=["per-tensor", "per-channel"])
@pytest.mark.parametrize("name", ["convolutions", "depthwise", "mlp", "lstm", "lstm-both-ways", "gru", "embedding"])
def test_foreign_dynamic_files_compute_the_same(name, per_channel, foreign, float_net, feeds_of, tmp_path):
    """quantize_dynamic's files load and save with the same results."""
    path = foreign(name, "dynamic", per_channel=per_channel)

    bw.load(path).save(tmp_path / "saved.onnx")

    assert integers(tmp_path / "saved.onnx") == integers(path)
    assert_same_results(path, tmp_path / "saved.onnx", feeds_of(float_net(name)))


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["u8", "i8"])
@pytest.mark.parametrize("name", ["convolutions", "depthwise", "mlp", "gemm"])
def test_foreign_qlinear_operators_pass_through(name, activations, foreign, float_net, feeds_of, tmp_path):
    """QLinearConv and friends stay the nodes they are."""
    path = foreign(name, "QOperator", activations)
    ops = [node.op_type for node in onnx.load(path).graph.node]
    assert any(op.startswith("QLinear") or op == "QGemm" for op in ops)

    bw.load(path).save(tmp_path / "saved.onnx")

    assert sorted(node.op_type for node in onnx.load(tmp_path / "saved.onnx").graph.node) == sorted(ops)
    assert_same_results(path, tmp_path / "saved.onnx", feeds_of(float_net(name)))


def test_quantized_file_with_a_dynamic_zero_point_is_left_alone(tmp_path):
    """Pairs whose parameters are computed at run time are no plan of ours: the file keeps its nodes and results."""
    from bitwright.graph.text import parse

    model = parse("""<ir_version: 10, opset_import: ["": 21]>
        g (float[N, 8] x) => (float[N, 8] y)
        { q, s, p = DynamicQuantizeLinear(x) d = DequantizeLinear(q, s, p) y = Relu(d) }""")
    ir.save(model, tmp_path / "a.onnx")

    loaded = bw.load(tmp_path / "a.onnx")
    loaded.save(tmp_path / "b.onnx")

    feeds = [{"x": np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)}]
    assert loaded.plan is None
    assert_same_results(tmp_path / "a.onnx", tmp_path / "b.onnx", feeds)


@pytest.mark.parametrize("text", ["not json", "[]", '{"nodes": 3}', '{"nodes": [["magic", "", ["c"]]]}', "{}"])
def test_metadata_under_our_key_that_is_not_ours_is_harmless(text, made, tmp_path):
    """A file whose metadata someone wrote over still reads, with what the integers say."""
    proto = made("gemm", "int8").to_proto()
    for entry in proto.metadata_props:
        entry.value = text

    model = bw.load(proto)

    assert model.plan is not None
    assert model.plan.qparams_of("x") == made("gemm", "int8").plan.qparams_of("x")
    assert [model.plan.compute_of(name) for name in ("one", "two")] == ["integer", "integer"]


def pairs_file(tmp_path, text: str, **constants: np.ndarray):
    """A file of a graph's text; inputs after the first are these constants."""
    from bitwright.graph.text import parse

    model = parse(f'<ir_version: 10, opset_import: ["": 21]>\n{text}')
    for value in list(model.graph.inputs)[1:]:
        tensor = ir.tensor(constants[value.name], name=value.name)
        fresh = ir.Value(name=value.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.replace_all_uses_with(fresh)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(fresh)
    ir.save(model, tmp_path / "pairs.onnx")
    return tmp_path / "pairs.onnx"


SAMPLES = [{"x": np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)}]
WEIGHTS = np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32)
PARAMETERS = "<float s = {0.05}, uint8 z = {120}, float[4] ws = {0.02, 0.03, 0.01, 0.02}, int8[4] wz = {0, 0, 0, 0}>"


def test_a_pair_for_each_reader_is_one(tmp_path):
    """Pairs of the same parameters on one value become one: the same results."""
    path = pairs_file(
        tmp_path,
        f"""net (float[N, 8] x, float[8, 4] w) => (float[N, 4] y) {PARAMETERS} {{
            a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) c = QuantizeLinear(x, s, z)
            d = DequantizeLinear(c, s, z) e = MatMul(b, w) f = MatMul(d, w) y = Add(e, f) }}""",
        w=WEIGHTS,
    )

    model = bw.load(path)
    model.save(tmp_path / "saved.onnx")

    assert model.plan.qparams_of("x").zero_point[0] == 120
    kinds = [node.op_type for node in onnx.load(tmp_path / "saved.onnx").graph.node]
    assert kinds.count("QuantizeLinear") == 1
    assert_same_results(path, tmp_path / "saved.onnx", SAMPLES)


def test_float_weights_behind_a_pair_become_integers(tmp_path):
    """QuantizeLinear of a constant gives the integers that it would give when it runs."""
    path = pairs_file(
        tmp_path,
        f"""net (float[N, 8] x, float[8, 4] w) => (float[N, 4] y) {PARAMETERS} {{
            a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) q = QuantizeLinear <axis = 1> (w, ws, wz)
            d = DequantizeLinear <axis = 1> (q, ws, wz) y = MatMul(b, d) }}""",
        w=WEIGHTS,
    )

    model = bw.load(path)
    model.save(tmp_path / "saved.onnx")

    held = next(v.const_value for v in model.graph.graph.initializers.values() if v.name == "d")
    expected = np.clip(np.rint(WEIGHTS / np.float32([0.02, 0.03, 0.01, 0.02])), -128, 127)
    np.testing.assert_array_equal(held.integers, expected)
    assert_same_results(path, tmp_path / "saved.onnx", SAMPLES)


def test_an_axis_counted_from_behind_is_one_counted_from_the_front(tmp_path):
    """As NNCF writes weights of products."""
    path = pairs_file(
        tmp_path,
        f"""net (float[N, 8] x, int8[8, 4] w) => (float[N, 4] y) {PARAMETERS} {{
            a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z)
            d = DequantizeLinear <axis = -1> (w, ws, wz) y = MatMul(b, d) }}""",
        w=np.random.default_rng(2).integers(-127, 128, (8, 4)).astype(np.int8),
    )

    model = bw.load(path)
    model.save(tmp_path / "saved.onnx")

    assert model.plan.qparams_of("d").axis == 1
    assert_same_results(path, tmp_path / "saved.onnx", SAMPLES)
