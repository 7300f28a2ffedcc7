"""Graphs that do not lower whole: parts on the engine, parts in ONNX Runtime, and a plan for each input shape."""

from __future__ import annotations

import threading

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.errors import SampleError, UnsupportedOpError, UsageError
from bitwright.graph.execution import open_session
from bitwright.graph.text import parse
from bitwright.runtime.hybrid import HybridSession
from bitwright.runtime.session import Session
from bitwright.runtime.shapes import MOST_PLANS

WEIGHTS = "float[16, 4, 3, 3] w1, float[16, 16, 3, 3] w2, float[16, 16, 3, 3] w3"

#: Around an operator that TFLite does not have.
GRAPHS = {
    "in-the-middle": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y) <float[1] one = {{1}}> {{
        a = Conv <pads = [1, 1, 1, 1]> (x, w1) r = Relu(a) m = Sinh(r)
        b = Conv <pads = [1, 1, 1, 1]> (m, w2) y = Relu(b) }}""",
    "beside": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y) {{
        a = Conv <pads = [1, 1, 1, 1]> (x, w1) r = Relu(a) m = Sinh(r)
        b = Conv <pads = [1, 1, 1, 1]> (r, w2) c = Conv <pads = [1, 1, 1, 1]> (b, w3) s = Add(c, m) y = Relu(s) }}""",
    "at-the-end": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y, float[N, 16, 8, 8] z) {{
        a = Conv <pads = [1, 1, 1, 1]> (x, w1) z = Conv <pads = [1, 1, 1, 1]> (a, w2) y = Sinh(z) }}""",
    "at-the-start": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y) {{
        m = Sinh(x) a = Conv <pads = [1, 1, 1, 1]> (m, w1) y = Conv <pads = [1, 1, 1, 1]> (a, w2) }}""",
    "twice": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y) {{
        a = Conv <pads = [1, 1, 1, 1]> (x, w1) m = Sinh(a) b = Conv <pads = [1, 1, 1, 1]> (m, w2) n = Sinh(b)
        y = Conv <pads = [1, 1, 1, 1]> (n, w3) }}""",
    "in-a-branch": f"""net (float[N, 4, 8, 8] x, {WEIGHTS}) => (float[N, 16, 8, 8] y) <float zero = {{0}}> {{
        a = Conv <pads = [1, 1, 1, 1]> (x, w1) r = Relu(a) top = ReduceMax <keepdims = 0> (x) yes = Greater(top, zero)
        i = If (yes) <then_branch = g () => (float[N, 16, 8, 8] t) {{ t = Sinh(r) }},
                      else_branch = h () => (float[N, 16, 8, 8] e) {{ e = Exp(r) }}>
        y = Conv <pads = [1, 1, 1, 1]> (i, w2) }}""",
}
#: The number of parts on the engine and in ONNX Runtime of each.
PARTS = {
    "in-the-middle": (2, 1),
    "beside": (2, 1),
    "at-the-end": (1, 1),
    "at-the-start": (1, 1),
    "twice": (3, 2),
    "in-a-branch": (1, 1),
}


def float_graph(text: str, inputs: int = 1) -> ir.Model:
    """A graph from its text; inputs after the first are random constants."""
    model, rng = parse(f'<ir_version: 10, opset_import: ["": 21]>\n{text}'), np.random.default_rng(0)
    for value in list(model.graph.inputs)[inputs:]:
        shape = value.shape.numpy()
        array = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        tensor = ir.tensor(array, name=value.name)
        fresh = ir.Value(name=value.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.replace_all_uses_with(fresh)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(fresh)
    return model


def images(count: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 4, 8, 8)).astype(np.float32)


def quantized(name: str) -> bw.Model:
    """A graph quantized for ONNX Runtime, which keeps what it does not know float."""
    return bw.quantize(float_graph(GRAPHS[name]), calibration=images(16))


def in_onnx_runtime(model: bw.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The file's own graph, node by node."""
    return open_session(model.to_proto().SerializeToString(), optimize=False).run(None, feeds)


def first(session) -> Session | HybridSession:
    """The session behind the one that keeps a plan for each shape."""
    return session.at({a.name: np.zeros([d or 1 for d in a.shape], a.dtype) for a in session.get_inputs()})


@pytest.mark.parametrize("name", GRAPHS)
def test_hybrid_computes_what_the_whole_does(name):
    """Within a step of its output's scale here and there: two roundings of sums differ."""
    model, x = quantized(name), images()

    session = bw.compile(model)

    for expected, made in zip(in_onnx_runtime(model, {"x": x}), session.run(None, {"x": x}), strict=True):
        assert expected.shape == made.shape
        step = max(float(np.abs(expected).max()) / 100, 1e-6)
        assert np.abs(expected - made).max() < 2 * step
        assert (np.abs(expected - made) > step / 10).mean() < 0.05


@pytest.mark.parametrize("name", GRAPHS)
def test_hybrid_is_cut_into_as_few_parts_as_can_be(name):
    """Nodes on one side hang together; outside is the foreign operator, and what follows from an unknown shape."""
    session = first(bw.compile(quantized(name)))

    ours = sum(isinstance(stage.session, Session) for stage in session.stages)
    assert PARTS[name] == (ours, len(session.stages) - ours)
    assert {key.split()[0] for key in session.left} <= {"Sinh", "If", "ReduceMax", "Greater", "Conv"}


def test_hybrid_tells_why():
    """Each node with its reason and where it runs."""
    left = bw.compile(quantized("twice")).left

    assert len(left) == 2
    assert all(
        key.startswith("Sinh ") and why == "no operator does this; runs in ONNX Runtime" for key, why in left.items()
    )


def test_nodes_that_compute_on_floats_run_in_onnx_runtime():
    """An operator that lowers, to floats that the engine has no kernel for."""
    graph = float_graph(GRAPHS["in-the-middle"].replace("Sinh", "Celu"))

    left = bw.compile(bw.quantize(graph, calibration=images(16))).left

    assert left == {"Celu Celu_2": "it computes on floats; runs in ONNX Runtime"}


def test_strict_refuses_a_graph_in_parts():
    """All nodes that do not lower, each with its reason."""
    with pytest.raises(UnsupportedOpError) as refused:
        bw.compile(quantized("twice"), strict=True)

    assert refused.value.what.count("Sinh ") == 2
    assert "no operator does this" in refused.value.what


def test_a_float_model_runs_in_onnx_runtime_whole():
    """It has nothing for integer kernels."""
    model = float_graph(GRAPHS["in-the-middle"])
    x = images()

    session = bw.compile(model)

    assert [type(stage.session).__name__ for stage in first(session).stages] == ["Execution"]
    expected = open_session(ir.to_proto(model).SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(session(x), expected, rtol=1e-4, atol=1e-5)


def test_hybrid_reads_its_own_file(tmp_path):
    """The QDQ file of a model gives the model's outputs."""
    model = quantized("beside")
    model.save(tmp_path / "small.onnx")

    made = bw.compile(tmp_path / "small.onnx")(images())

    np.testing.assert_array_equal(bw.compile(model)(images()), made)


def test_hybrid_profile_tells_both_sides():
    """Steps of the engine, and a part in ONNX Runtime as one."""
    layers = bw.compile(quantized("in-the-middle")).profile({"x": images()})

    assert [layer.operator for layer in layers].count("ONNX Runtime") == 1
    assert [layer.operator for layer in layers if layer.operations] == ["CONV_2D", "CONV_2D"]


def test_hybrid_may_be_shared_by_threads():
    """The outputs of serial calls."""
    session, inputs = bw.compile(quantized("beside")), images(8)
    expected = [session(x[None]).tobytes() for x in inputs]
    made: list[list[bytes]] = [[] for _ in range(4)]

    def work(found: list[bytes]) -> None:
        found += [session(x[None]).tobytes() for x in inputs for _ in range(5)]

    threads = [threading.Thread(target=work, args=(found,)) for found in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == [[each for each in expected for _ in range(5)]] * 4


@pytest.mark.parametrize("name", ["in-the-middle", "beside"])
def test_a_batch_is_compiled_for_itself(name):
    """Thirty-two rows at once give what they give one by one."""
    session, x = bw.compile(quantized(name)), images(32)

    made = session(x)

    np.testing.assert_array_equal(np.concatenate([session(row[None]) for row in x]), made)
    assert session.get_inputs()[0].shape == (None, 4, 8, 8)
    assert session.at({"x": x}).get_inputs()[0].shape == (32, 4, 8, 8)


def test_a_few_plans_are_kept():
    """The plan that was not used for longest goes first."""
    session = bw.compile(quantized("in-the-middle"))
    plans = {count: session.at({"x": images(count)}) for count in range(1, MOST_PLANS + 1)}
    session.at({"x": images(1)})

    session.at({"x": images(MOST_PLANS + 1)})

    assert session.at({"x": images(1)}) is plans[1]
    assert session.at({"x": images(2)}) is not plans[2]


def test_a_free_image_size_is_compiled_for_itself():
    """Height and width may be free as well; what is compiled first may be said."""
    model = bw.quantize(
        float_graph("""net (float[1, 4, H, W] x, float[16, 4, 3, 3] w) => (float[1, 16, P, Q] y) { y = Conv(x, w) }"""),
        calibration=[images()],
    )

    session = bw.compile(model, input_shapes={"x": (1, 4, 12, 12)})

    x = np.random.default_rng(2).standard_normal((1, 4, 20, 9)).astype(np.float32)
    assert session(x).shape == (1, 16, 18, 7)
    assert session(images()).shape == (1, 16, 6, 6)


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        pytest.param({"z": images()}, "no input is named z", id="unknown"),
        pytest.param({}, "'x' is missing", id="missing"),
        pytest.param({"x": images()[:, :2]}, r"the model takes \[any, 4, 8, 8\]", id="shape"),
        pytest.param({"x": images(0)}, "the model takes", id="no-rows"),
        pytest.param({"x": images().astype(np.int64)}, "int64, the model takes float32", id="type"),
    ],
)
def test_hybrid_refuses_what_does_not_fit(feeds, told):
    """With what came and what is taken."""
    with pytest.raises(SampleError, match=told):
        bw.compile(quantized("in-the-middle")).run(None, feeds)


def test_hybrid_refuses_an_output_that_is_not_there():
    """By its name."""
    with pytest.raises(UsageError, match="no output is named 'z'"):
        bw.compile(quantized("in-the-middle")).run(["z"], {"x": images()})


def test_a_fixed_batch_takes_rows_one_by_one():
    """Where the graph says a batch of one."""
    model = bw.quantize(float_graph(GRAPHS["in-the-middle"].replace("float[N", "float[1")), calibration=[images()])
    x = images(3)

    session = bw.compile(model)

    assert isinstance(session, HybridSession)
    np.testing.assert_array_equal(np.concatenate([session(row[None]) for row in x]), session(x))
    with pytest.raises(SampleError, match="several rows cannot be profiled"):
        session.profile({"x": x})


def test_hybrid_takes_a_scalar():
    """An input without dimensions stays one."""
    model = bw.load(float_graph("net (float[2] x, float s) => (float[2] y) { m = Mul(x, s) y = Sinh(m) }", inputs=2))
    feeds = {"x": np.float32([1, 2]), "s": np.float32(0.5)}

    made = bw.compile(model).run(None, feeds)[0]

    np.testing.assert_allclose(made, np.sinh([0.5, 1.0]), rtol=1e-6)
