"""Frozen GraphDefs of real TensorFlow through the scripts of its users; the real Hello Edge network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitwright as bw
from bitwright.cli.main import run
from bitwright.compat.graph_transforms import TransformGraph, quantize_graph
from bitwright.graph.execution import Execution
from bitwright.numerics.metrics import sqnr_db

SCRIPT = (
    "add_default_attributes fold_constants(ignore_errors=true) fold_batch_norms fold_old_batch_norms quantize_weights "
    "quantize_nodes strip_unused_nodes sort_by_execution_order"
)
HELLO_EDGE = Path(__file__).resolve().parents[4] / "shared" / "models" / "hello_edge_ds_cnn_s.pb"


@pytest.fixture(scope="module")
def tensorflow():
    """TensorFlow itself."""
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def frozen(tensorflow, tmp_path_factory):
    """A GraphDef (input_data -> convolution, normalization, ReLU, product -> softmax), its path, inputs, softmax."""
    tf = tensorflow.compat.v1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 16, 16, 3)).astype(np.float32)

    def constant(*shape: int, spread: float, mean: float = 0.0) -> object:
        return tf.constant((rng.standard_normal(shape) * spread + mean).astype(np.float32))

    with tf.Graph().as_default() as graph:
        data = tf.placeholder(tf.float32, [None, 16, 16, 3], name="input_data")
        conv = tf.nn.conv2d(data, constant(3, 3, 3, 32, spread=0.3), [1, 2, 2, 1], "SAME", name="conv")
        ones = {"spread": 0.1, "mean": 1.0}
        moments = (constant(32, spread=0.1), tf.abs(constant(32, **ones)))
        norm, _, _ = tf.nn.fused_batch_norm(
            conv, constant(32, **ones), constant(32, spread=0.1), *moments, is_training=False, name="norm"
        )
        flat = tf.reshape(tf.nn.relu(norm), [-1, 2048])
        product = tf.matmul(flat, constant(2048, 10, spread=0.03), name="product")
        tf.nn.softmax(tf.nn.bias_add(product, constant(10, spread=0.3)), name="softmax")
        with tf.Session(graph=graph) as session:
            expected = session.run("softmax:0", {"input_data:0": x})
    path = tmp_path_factory.mktemp("frozen") / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return graph.as_graph_def(), path, x, expected


def outputs(path: Path, x: np.ndarray) -> np.ndarray:
    """The softmax of a written file on ONNX Runtime or the engine."""
    (array,) = bw.run(path, {"input_data": x}).values()
    return array


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_transform_graph_runs_the_usual_script_on_a_pb(suffix, frozen, tmp_path, capsys):
    """The script as it stands: a file of eight-bit kernels, close to TensorFlow's own floats."""
    _, path, x, expected = frozen
    out = tmp_path / f"o.{suffix}"

    names = ["--inputs=input_data", "--outputs=softmax"]
    code = run(["transform-graph", f"--in_graph={path}", f"--out_graph={out}", *names, f"--transforms={SCRIPT}"])

    assert code == 0, capsys.readouterr().err
    assert sqnr_db(expected, outputs(out, x)) > 32
    assert out.stat().st_size < 0.4 * path.stat().st_size


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_quantize_graph_runs_on_a_pb(suffix, frozen, tmp_path, capsys):
    """--mode=eightbit --output_node_names=softmax."""
    _, path, x, expected = frozen
    out = tmp_path / f"o.{suffix}"

    code = run(
        ["quantize-graph", f"--input={path}", f"--output={out}", "--mode=eightbit", "--output_node_names=softmax"]
    )

    assert code == 0, capsys.readouterr().err
    assert sqnr_db(expected, outputs(out, x)) > 32


def test_TransformGraph_takes_a_graph_def(frozen):
    """The object itself, with names of nodes as TensorFlow has them."""
    graph_def, _, x, expected = frozen

    model = TransformGraph(graph_def, ["input_data:0"], ["softmax"], [SCRIPT])

    assert [value.name for value in model.graph.graph.outputs] == ["softmax"]
    assert sqnr_db(expected, Execution(model.to_ir()).run({"input_data": x})["softmax"]) > 32


def test_quantize_graph_takes_a_graph_def(frozen):
    """Calibrated on samples, full-integer."""
    graph_def, _, x, expected = frozen

    model = quantize_graph(graph_def, "softmax", "eightbit", calibration={"input_data": x}).model

    assert model.plan.counts()["integer"] >= 4
    assert sqnr_db(expected, Execution(model.to_ir()).run({"input_data": x})["softmax"]) > 30


@pytest.mark.skipif(not HELLO_EDGE.exists(), reason="the shared models are not here")
@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_transform_graph_cuts_hello_edge_behind_its_audio_front_end(suffix, tensorflow, tmp_path, capsys):
    """--inputs=Mfcc leaves the audio operators out; what is left is quantized and answers as the floats do."""
    common = ["transform-graph", f"--in_graph={HELLO_EDGE}", "--inputs=Mfcc", "--outputs=labels_softmax"]
    small = tmp_path / f"q.{suffix}"

    for out, text in ((tmp_path / "f.onnx", "fold_constants"), (small, SCRIPT)):
        assert run([*common, f"--out_graph={out}", f"--transforms={text}"]) == 0, capsys.readouterr().err

    rng = np.random.default_rng(0)
    clips = rng.standard_normal((16, 1, 49, 10)).astype(np.float32) * np.linspace(20, 1, 10, dtype=np.float32)
    expected, got = (
        np.concatenate([next(iter(bw.run(path, {"Mfcc": clip}).values())) for clip in clips])
        for path in (tmp_path / "f.onnx", small)
    )
    assert sqnr_db(expected, got) > 20
    assert small.stat().st_size < 0.45 * (tmp_path / "f.onnx").stat().st_size
