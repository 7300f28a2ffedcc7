"""The verbs on .tflite files, from the command line in."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")


def run_litert(path, x):
    """Outputs of the file for one input, as LiteRT's reference kernels give them."""
    interpreter = litert.Interpreter(str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("mode", MODES)
def test_quantize_writes_a_tflite_that_litert_runs(mode, model, data, tmp_path, as_json):
    """Every mode, channels last, smaller than the float file; the report counts the file's bytes."""
    found = as_json("quantize", model, "-o", tmp_path / "o.tflite", "--mode", mode, "--calibration", data)

    assert run_litert(tmp_path / "o.tflite", np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 10)
    assert found["target"] == "litert"
    assert found["bytes"]["after"]["total"] == (tmp_path / "o.tflite").stat().st_size
    assert found["bytes"]["ratio"] < 0.62


def test_quantize_gives_integer_ports(model, data, tmp_path, as_json):
    """--input-type and --output-type: the border's conversions are gone."""
    as_json(
        "quantize", model, "-o", tmp_path / "o.tflite", "--calibration", data, "--input-type", "int8",
        "--output-type", "int8",
    )  # fmt: skip

    found = as_json("inspect", tmp_path / "o.tflite")
    assert found["format"] == "tflite"
    assert [port["type"].split("[")[0] for port in (*found["inputs"], *found["outputs"])] == ["i8", "i8"]
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(found["operators"])


def test_quantize_takes_input_stats_without_calibration(model, tmp_path, as_json):
    """Legacy uint8: real = (q - mean) / std; --default-ranges stands for what was never measured."""
    as_json(
        "quantize", model, "-o", tmp_path / "o.tflite", "--mode", "uint8", "--input-type", "uint8",
        "--input-stats", "x=127.5,127.5", "--default-ranges=-6,6",
    )  # fmt: skip

    (port,) = as_json("inspect", tmp_path / "o.tflite")["inputs"]
    assert port["type"].startswith("u8[1,8,8,3] scale=0.00784314")


def test_convert_goes_both_ways(model, data, tmp_path, as_json, done):
    """.onnx -> .tflite -> .onnx: the same outputs, and the names are kept."""
    done("convert", model, tmp_path / "m.tflite")
    found = as_json("convert", tmp_path / "m.tflite", tmp_path / "back.onnx")

    compared = as_json("compare", model, tmp_path / "back.onnx", "--data", data, "--runs", "2")
    assert found["operators"]["Conv"] == 1
    assert compared["outputs"][0]["name"] == "y"
    assert compared["outputs"][0]["sqnr_db"] > 100


def test_convert_keeps_the_integers(model, data, tmp_path, done):
    """A quantized .onnx becomes a quantized .tflite: no conversion to float inside."""
    done("quantize", model, "-o", tmp_path / "q.onnx", "--target", "litert", "--calibration", data)
    done("convert", tmp_path / "q.onnx", tmp_path / "q.tflite")
    x = np.load(data)[:1]

    done("run", tmp_path / "q.onnx", "--input", _saved(tmp_path / "x.npy", x), "-o", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as held:
        ours = held["y"]

    assert np.array_equal(ours, run_litert(tmp_path / "q.tflite", np.ascontiguousarray(x.transpose(0, 2, 3, 1))))


def _saved(path, array):
    np.save(path, array)
    return path


def test_run_gives_the_integers_of_litert(model, data, tmp_path, as_json, done):
    """What `run` computes is what the device will compute."""
    done(
        "quantize", model, "-o", tmp_path / "o.tflite", "--calibration", data, "--input-type", "int8",
        "--output-type", "int8", "-q",
    )  # fmt: skip
    x = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 3), dtype=np.int8)

    found = as_json("run", tmp_path / "o.tflite", "--input", _saved(tmp_path / "x.npy", x))

    assert found["outputs"]["y"]["type"] == "int8[1, 10]"
    assert run_litert(tmp_path / "o.tflite", x).tolist() == found["outputs"]["y"]["values"]


def test_run_rounds_as_asked(model, data, tmp_path, done):
    """fp32_even gives the integers of LiteRT's default kernels."""
    done("quantize", model, "-o", tmp_path / "o.tflite", "--calibration", data, "-q")
    rows = _saved(tmp_path / "rows.npy", np.load(data).transpose(0, 2, 3, 1))

    done("run", tmp_path / "o.tflite", "-i", rows, "--rounding", "fp32_even", "-o", tmp_path / "ours.npz")
    done("run", tmp_path / "o.tflite", "-i", rows, "--runtime", "litert", "-o", tmp_path / "theirs.npz")

    assert np.array_equal(np.load(tmp_path / "ours.npz")["y"], np.load(tmp_path / "theirs.npz")["y"])


def test_run_takes_rows_and_layouts(model, data, tmp_path, done):
    """An ONNX model takes its own layout and many rows; every runtime agrees."""
    for runtime in ("reference", "litert", "onnxruntime"):
        done("run", model, "--input", f"x={data}", "--runtime", runtime, "-o", tmp_path / f"{runtime}.npz")
    made = {path.stem: np.load(path)["y"] for path in tmp_path.glob("*.npz")}

    assert made["reference"].shape == (16, 10)
    for runtime in ("litert", "onnxruntime"):
        assert np.allclose(made["reference"], made[runtime], rtol=1e-4, atol=1e-4)


def test_compare_lays_nchw_against_nhwc(model, data, tmp_path, as_json, done):
    """An .onnx and a .tflite made of it: each on its own runtime, on the same data."""
    done("convert", model, tmp_path / "m.tflite")

    for pair in ((model, tmp_path / "m.tflite"), (tmp_path / "m.tflite", model)):
        rows = np.load(data) if pair[0] == model else np.load(data).transpose(0, 2, 3, 1)
        found = as_json("compare", *pair, "--data", _saved(tmp_path / "rows.npy", rows), "--runs", "2")

        assert {found["a"]["runtime"], found["b"]["runtime"]} == {"ONNX Runtime", "LiteRT"}
        assert found["samples"] == 16
        assert found["agreement"] == 1.0
        assert found["outputs"][0]["sqnr_db"] > 100


def test_inspect_shows_a_tflite(model, data, tmp_path, done):
    """Operators, ports with their parameters, bytes; the whole text with --full."""
    done("quantize", model, "-o", tmp_path / "o.tflite", "--calibration", data)

    text = done("inspect", tmp_path / "o.tflite", "--full")

    for part in ("CONV_2D", "f32[1,8,8,3]", "bytes by kind", "quantized: int8 for litert", "= CONV_2D("):
        assert part in text


def test_compare_takes_integer_outputs_for_the_reals_they_are(model, data, tmp_path, as_json, done):
    """Float inputs and int8 outputs: the error is that of the network, whichever side it is on."""
    done("quantize", model, "-o", tmp_path / "q.tflite", "--calibration", data, "--output-type", "int8", "-q")
    rows = _saved(tmp_path / "rows.npy", np.load(data).transpose(0, 2, 3, 1))

    one = as_json("compare", model, tmp_path / "q.tflite", "--data", data, "--runs", "2")
    other = as_json("compare", tmp_path / "q.tflite", model, "--data", rows, "--runs", "2")

    assert one["outputs"][0]["sqnr_db"] > 20
    assert other["outputs"][0]["sqnr_db"] > 20


def test_layout_is_kept_where_shapes_do_not_tell_it(tmp_path, as_json, done):
    """[1, 8, 8, 8]: the file knows that it is channels last, after other ports and by way of .onnx as well."""
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]> net (float[1, 8, 8, 8] x) => (float[1, 8, 6, 6] y)
        <float[1] w = {0}> { y = Conv(x, w) }"""
    )
    weights = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32)
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(proto, tmp_path / "m.onnx")
    data = _saved(tmp_path / "d.npy", np.random.default_rng(1).standard_normal((4, 8, 8, 8)).astype(np.float32))
    done("quantize", tmp_path / "m.onnx", "-o", tmp_path / "a.tflite", "--calibration", data, "-q")
    done("convert", tmp_path / "a.tflite", tmp_path / "b.tflite", "--input-type", "int8")
    done("convert", tmp_path / "a.tflite", tmp_path / "c.onnx")
    done("convert", tmp_path / "c.onnx", tmp_path / "d.tflite")

    for name in ("a.tflite", "b.tflite", "c.onnx", "d.tflite"):
        found = as_json("compare", tmp_path / "m.onnx", tmp_path / name, "--data", data, "--runs", "2")
        assert found["outputs"][0]["sqnr_db"] > 20, name


def test_run_takes_the_data_of_the_original_model(model, data, tmp_path, done):
    """NCHW rows fit a .tflite that was lowered from NCHW: they are laid as it has them."""
    done("convert", model, tmp_path / "m.tflite")

    done("run", tmp_path / "m.tflite", "-i", data, "-o", tmp_path / "a.npz")
    done("run", model, "-i", data, "-o", tmp_path / "b.npz")

    assert np.allclose(np.load(tmp_path / "a.npz")["y"], np.load(tmp_path / "b.npz")["y"], rtol=1e-5, atol=1e-5)


def test_transform_keeps_a_quantized_tflite_quantized(model, data, tmp_path, as_json, done):
    """Its pairs are its plan again: the operators stay integer."""
    done("quantize", model, "-o", tmp_path / "q.tflite", "--calibration", data, "-q")
    done("transform", tmp_path / "q.tflite", "-o", tmp_path / "t.tflite", "--transforms", "fold_constants")

    assert as_json("inspect", tmp_path / "t.tflite")["nodes"]["integer"] >= 4


def test_inspect_counts_every_byte_once(model, data, tmp_path, as_json, done):
    """The kinds add up to the file, with something left for the graph."""
    done("quantize", model, "-o", tmp_path / "q.tflite", "--calibration", data, "-q")

    found = as_json("inspect", tmp_path / "q.tflite")["bytes"]

    assert sum(found["by_kind"].values()) == found["total"] == (tmp_path / "q.tflite").stat().st_size
    assert found["by_kind"]["graph"] > 0
