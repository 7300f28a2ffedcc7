"""Every verb on a tiny model, from the command line in."""

from __future__ import annotations

import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")


@pytest.mark.parametrize("mode", MODES)
def test_quantize_writes_a_model_that_runs(mode, model, data, tmp_path, as_json):
    """Every mode gives a smaller file that ONNX Runtime loads, and a report."""
    found = as_json("quantize", model, "-o", tmp_path / "o.onnx", "--mode", mode, "--calibration", data)

    session = onnxruntime.InferenceSession(tmp_path / "o.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.load(data)})[0].shape == (16, 10)
    assert found["mode"] == mode
    assert found["output"] == [str(tmp_path / "o.onnx")]
    assert found["bytes"]["after"]["total"] == (tmp_path / "o.onnx").stat().st_size
    assert found["bytes"]["before"]["total"] == model.stat().st_size
    assert found["bytes"]["ratio"] < 0.62
    assert sum(found["nodes"].values()) >= 4


def test_quantize_prints_its_report(model, data, tmp_path, done):
    """Bytes, nodes by how they compute, the worst tensors."""
    text = done("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data)

    for part in ("bytes by kind", "nodes by how they compute", "worst tensors", "SQNR"):
        assert part in text


def test_quantize_quiet_prints_nothing(model, tmp_path, done):
    """--quiet is for scripts."""
    assert done("quantize", model, "-o", tmp_path / "o.onnx", "--mode", "float16", "--quiet") == ""


def test_quantize_excludes_by_name(model, data, tmp_path, as_json):
    """A node that is excluded stays float, and the reason says so."""
    proto = onnx.load(model)
    for node in proto.graph.node:
        node.name = f"/net/{node.op_type}"
    onnx.save(proto, model)

    found = as_json("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data, "--exclude", "Gemm")

    assert "/net/Gemm" in [node["name"] for node in found["float_nodes"]]


def test_quantize_takes_a_recipe(model, data, tmp_path, as_json):
    """A recipe says what to do where, instead of a mode."""
    (tmp_path / "r.json").write_text('[{"operator": "Conv", "compute": "integer"}]')

    found = as_json(
        "quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data, "--recipe", tmp_path / "r.json"
    )

    assert "Gemm" in [node["op"] for node in found["float_nodes"]]


@pytest.mark.parametrize("method", ["minmax", "ema", "percentile", "entropy", "mse"])
def test_statistics_give_the_same_model_as_samples(method, model, data, tmp_path, done):
    """Calibrated in four shards, merged in any order and read from a file: the same bytes as in one go."""
    done("quantize", model, "-o", tmp_path / "one.onnx", "--calibration", data, "--method", method)
    common = ("--calibration", data, "--method", method)
    for part in range(4):
        done("calibrate", model, "-o", tmp_path / f"{part}.npz", *common, "--shard", f"{part}/4")
    done("calibrate", "--merge", *(tmp_path / f"{i}.npz" for i in (2, 0, 3, 1)), "-o", tmp_path / "all.npz")
    done("calibrate", model, "-o", tmp_path / "whole.npz", *common)

    done("quantize", model, "-o", tmp_path / "two.onnx", "--statistics", tmp_path / "all.npz", "--method", method)

    assert (tmp_path / "all.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert (tmp_path / "two.onnx").read_bytes() == (tmp_path / "one.onnx").read_bytes()


def test_quantize_saves_its_statistics(model, data, tmp_path, done):
    """--save-statistics keeps what calibration saw, to be used again."""
    done("quantize", model, "-o", tmp_path / "a.onnx", "--calibration", data, "--save-statistics", tmp_path / "s.npz")
    done("quantize", model, "-o", tmp_path / "b.onnx", "--statistics", tmp_path / "s.npz")

    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_transform_rewrites_a_graph(model, tmp_path, as_json):
    """The grammar of the issue; the file is written."""
    transforms = "fold_constants(ignore_errors=true) strip_unused_nodes"

    found = as_json(
        "transform", model, "-o", tmp_path / "t.onnx", "--transforms", transforms, "--inputs", "x", "--outputs", "f"
    )

    assert [o.name for o in onnx.load(tmp_path / "t.onnx").graph.output] == ["f"]
    assert found["nodes"] == {"before": 5, "after": 4}


def test_transform_lists_the_transforms(done):
    """--list names each with what it does."""
    text = done("transform", "--list")

    assert "fold_batch_norms" in text
    assert "equalize" in text


def test_compare_gives_all_its_figures(model, data, tmp_path, as_json):
    """Size, agreement, latency, layers."""
    as_json("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data)

    found = as_json("compare", model, tmp_path / "o.onnx", "--data", data, "--runs", 3)

    assert found["samples"] == 16
    assert 0 < found["bytes_ratio"] < 0.62
    assert found["agreement"] > 0.8
    assert found["outputs"][0]["sqnr_db"] > 15
    assert found["a"]["bytes"] == pytest.approx(model.stat().st_size, rel=0.02)
    assert found["layers"]


@pytest.fixture
def pictures(tmp_path):
    """Two folders of pictures, black and white: labels 0 and 1."""
    for label, shade in (("black", 0), ("white", 255)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (8, 8), (shade,) * 3).save(tmp_path / "pictures" / label / f"{index}.png")
    return tmp_path / "pictures"


@pytest.fixture
def judges(tmp_path):
    """A model that tells white from black, and one that says black to everything."""
    text = """<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 3, 8, 8] x) => (float[N, 2] y) <float[3, 2] w = {-1, %s, -1, %s, -1, %s}>
    { p = GlobalAveragePool(x) f = Flatten(p) y = MatMul(f, w) }"""
    paths = []
    for name, weight in (("good", 1), ("bad", -2)):
        onnx.save(onnx.parser.parse_model(text % ((weight,) * 3)), tmp_path / f"{name}.onnx")
        paths.append(tmp_path / f"{name}.onnx")
    return paths


def test_compare_holds_a_bar_on_accuracy(judges, pictures, as_json):
    """--max-drop leaves with 1 when accuracy drops by more, and still prints the comparison."""
    common = ("--data", pictures, "--preprocess", "scale=1/255 layout=NCHW", "--runs", 1, "--max-drop")

    found = as_json("compare", *judges, *common, "0.5", code=1)
    assert (found["a"]["accuracy"], found["b"]["accuracy"]) == (1.0, 0.5)
    assert found["accuracy_drop_points"] == 50.0

    as_json("compare", *judges, *common, "50", code=0)


def test_inspect_a_float_model(model, as_json):
    """Its face, and what would stay float."""
    found = as_json("inspect", model)

    assert found["inputs"] == [{"name": "x", "type": "float[N, 3, 8, 8]"}]
    assert found["parameters"] == 256 * 27 + 2560
    assert found["quantized"] is False


def test_inspect_a_quantized_model(model, data, tmp_path, as_json, done):
    """The plan that the file carries."""
    done("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data)

    found = as_json("inspect", tmp_path / "o.onnx")

    assert found["quantized"] is True
    assert found["storages"]["weights i8"] == 2
    assert "plan " in done("inspect", tmp_path / "o.onnx", "--full")


def test_quantize_leaves_nothing_but_its_output(model, data, tmp_path, done):
    """No temporary file stays beside the output."""
    done("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data)

    assert sorted(os.listdir(tmp_path)) == ["data.npy", "model.onnx", "o.onnx"]


def test_demo_shows_every_mode(as_json):
    """The shipped network in float and in every mode."""
    found = json.dumps(as_json("demo"))

    assert all(mode in found for mode in ("float", *MODES))
