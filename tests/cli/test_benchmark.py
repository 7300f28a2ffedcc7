"""bitwright benchmark, and the engine behind run and compare."""

from __future__ import annotations

import numpy as np
import pytest

import bitwright as bw
from bitwright.errors import UsageError


@pytest.fixture
def small(done, model, data, tmp_path):
    """The tiny model as an int8 .tflite."""
    path = tmp_path / "small.tflite"
    done("quantize", model, "-o", path, "--calibration", data, "-q")
    return path


def test_benchmark_tells_latency_memory_and_what_is_left(as_json, small):
    """On the engine, which runs all of it."""
    found = as_json("benchmark", small, "--runs", 5)

    assert (found["runtime"], found["threads"], found["runs"]) == ("the engine", 1, 5)
    assert found["latency_us"]["least"] > 0
    assert found["arena_bytes"] > 0
    assert found["left"] == {}
    assert found["layers"] == []


def test_benchmark_profiles_layers(done, as_json, small):
    """Operator, kernel, shapes, time and share of each."""
    found = as_json("benchmark", small, "--runs", 3, "--profile", "--threads", 2)

    convolution = next(layer for layer in found["layers"] if layer["operator"] == "CONV_2D" and layer["operations"])
    assert convolution["outputs"] == [[1, 8, 8, 256]]
    assert convolution["operations"] == 2 * 8 * 8 * 256 * 27
    assert sum(layer["share"] for layer in found["layers"]) == pytest.approx(1)
    assert "conv_2d" in done("benchmark", small, "--runs", 3, "--profile")


@pytest.mark.parametrize(("runtime", "name"), [("onnxruntime", "ONNX Runtime"), ("litert", "LiteRT")])
def test_benchmark_measures_other_runtimes(runtime, name, as_json, small):
    """The same file there."""
    if runtime == "litert":
        pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

    found = as_json("benchmark", small, "--runtime", runtime, "--runs", 3)

    assert found["runtime"] == name
    assert found["arena_bytes"] is None


def test_benchmark_of_a_float_model_tells_what_is_left(done, model):
    """All of it runs in ONNX Runtime."""
    assert "runs in ONNX Runtime" in done("benchmark", model, "--runs", 3)


@pytest.mark.parametrize(
    ("options", "told"), [({"runtime": "tpu"}, "unknown runtime"), ({"threads": 0}, "threads is 0")]
)
def test_benchmark_refuses_bad_options(options, told, small):
    """As the command line does."""
    with pytest.raises(UsageError, match=told):
        bw.benchmark(small, **options)


def test_benchmark_refuses_a_profile_elsewhere(done, small):
    """Only the engine tells of its layers."""
    done("benchmark", small, "--runtime", "onnxruntime", "--profile", code=2)


@pytest.mark.parametrize("rounding", ["tflite_double", "tflite_single", "fp32_even"])
def test_run_on_the_engine_gives_the_references_integers(rounding, done, small, tmp_path):
    """In each rounding; the default for a quantized model."""
    np.save(tmp_path / "x.npy", np.random.default_rng(3).standard_normal((3, 8, 8, 3)).astype(np.float32))
    made = {}
    for name, options in {
        "engine": ("--runtime", "engine"),
        "default": (),
        "reference": ("--runtime", "reference"),
    }.items():
        done("run", small, "-i", tmp_path / "x.npy", "-o", tmp_path / f"{name}.npz", "--rounding", rounding, *options)
        with np.load(tmp_path / f"{name}.npz") as held:
            made[name] = held["y"]

    np.testing.assert_array_equal(made["reference"], made["engine"])
    np.testing.assert_array_equal(made["reference"], made["default"])


def test_run_takes_the_engine_by_default_where_it_runs_all(small, model, monkeypatch):
    """A quantized model: no reference runs. A float one: no engine does."""
    from bitwright import running
    from bitwright.program.reference import Reference
    from bitwright.runtime import session

    x = np.zeros((1, 8, 8, 3), np.float32)
    monkeypatch.setattr(Reference, "run", lambda *_: pytest.fail("the references ran"))
    running.run(small, x)
    monkeypatch.undo()
    monkeypatch.setattr(session, "Session", lambda *_, **__: pytest.fail("the engine ran"))
    running.run(model, np.zeros((1, 3, 8, 8), np.float32))


def test_run_on_the_engine_takes_a_graph_in_parts(done, as_json, tmp_path):
    """What does not lower runs in ONNX Runtime."""
    import onnx
    import onnx.parser

    path = tmp_path / "odd.onnx"
    onnx.save(
        onnx.parser.parse_model(
            '<ir_version: 10, opset_import: ["": 21]> net (float[1, 4] x) => (float[1, 4] y) { y = Sinh(x) }'
        ),
        path,
    )
    np.save(tmp_path / "x.npy", np.float32([[0, 1, 2, 3]]))

    found = as_json("run", path, "-i", tmp_path / "x.npy", "--runtime", "engine")

    assert found["outputs"]["y"]["values"] == [pytest.approx(np.sinh([0, 1, 2, 3]).tolist())]
    done("run", path, "-i", tmp_path / "x.npy", code=1)


def test_compare_runs_quantized_models_on_the_engine(as_json, model, small, data):
    """The float side on ONNX Runtime, the quantized one on the engine."""
    found = as_json("compare", model, small, "--data", data, "--runs", 3)

    assert found["a"]["runtime"] == "ONNX Runtime"
    assert found["b"]["runtime"] == "engine"
