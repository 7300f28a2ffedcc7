"""transform-graph and quantize-graph, from the command line in."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from bitwright.cli.main import run

RANGES = 'insert_logging(op=RequantizationRange, show_name=true, message="__requant_min_max:")'


def test_transform_graph_says_what_each_step_did(model, tmp_path, as_json):
    """JSON holds the files and the steps; dashes are as good as underscores."""
    found = as_json(
        *("transform-graph", "--in-graph", model, "--out-graph", tmp_path / "o.onnx", "--inputs", "x"),
        *("--outputs", "y", "--transforms", "set_device(device=cpu) quantize_weights"),
    )

    assert found["output"] == [str(tmp_path / "o.onnx")]
    assert [(step["name"], step["modified"]) for step in found["steps"]] == [
        ("set_device", False),
        ("quantize_weights", True),
    ]
    assert (tmp_path / "o.onnx").stat().st_size < 0.4 * model.stat().st_size


def test_transform_graph_freezes_what_it_logged(model, data, tmp_path, capsys):
    """Quantize; log runs to standard error; freeze: three commands, as with TensorFlow's tool."""
    q, logged, full, log = (tmp_path / name for name in ("q.onnx", "l.onnx", "full.onnx", "log.txt"))

    def verb(source, out, text, *more):
        code = run(["transform-graph", f"--in_graph={source}", f"--out_graph={out}", f"--transforms={text}", *more])
        assert code == 0
        return capsys.readouterr()

    verb(model, q, "quantize_weights quantize_nodes")
    log.write_text(verb(q, logged, RANGES, f"--log_data={data}", "--json").err)
    said = verb(q, full, f"freeze_requantization_ranges(min_max_log_file={log})").out

    assert log.read_text().count("__requant_min_max:") >= 3 * 16
    assert "ranges of 16 runs" in said
    session = onnxruntime.InferenceSession(full, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.load(data)})[0].shape == (16, 10)


def test_transform_graph_lists_its_transforms(done):
    """With what each does, or why it does nothing."""
    text = done("transform-graph", "--list")

    assert "freeze_requantization_ranges" in text
    assert "nothing: ONNX nodes have no device" in text


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--out_graph=o.onnx"], 2, "missing --in_graph, --transforms"),
        (["--in_graph={model}", "--out_graph=o.pb", "--transforms=round_weights"], 2, "must end in .onnx or .tflite"),
        (["--in_graph={model}", "--out_graph=o.onnx", "--transforms=round_weigths"], 1, "did you mean round_weights"),
        (["--in_graph={model}", "--out_graph=o.onnx", "--transforms=a("], 1, "cannot be read"),
    ],
)
def test_transform_graph_refuses(arguments, code, told, model, tmp_path, monkeypatch, capsys):
    """Exit code 2 for a wrong command, 1 for a wrong list; nothing is written."""
    monkeypatch.chdir(tmp_path)

    assert run(["transform-graph", *(text.format(model=model) for text in arguments)]) == code

    assert told in capsys.readouterr().err
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize("mode", ["round", "quantize", "eightbit", "weights", "weights_rounded"])
def test_quantize_graph_writes_a_model_that_runs(mode, model, data, tmp_path, as_json):
    """Every mode, with the script's options."""
    out = tmp_path / "o.onnx"

    found = as_json("quantize-graph", f"--input={model}", f"--output={out}", f"--mode={mode}", "--output_node_names=y")

    assert found["steps"][0]["name"] == mode
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.load(data)})[0].shape == (16, 10)


def test_quantize_graph_takes_ranges_and_samples(model, data, tmp_path, as_json):
    """Options beyond the script's: samples to take ranges from."""
    common = ["quantize-graph", f"--input={model}", "--mode=eightbit"]

    full = as_json(*common, "--output", tmp_path / "a.tflite", "--calibration", data)
    told = as_json(
        *(*common, "--output", tmp_path / "b.onnx", "--quantized_input", "--quantized_input_min=-4"),
        *("--quantized_input_max=4", "--quantized_fallback_min=-6", "--quantized_fallback_max=6"),
    )

    assert "integer" in full["steps"][0]["message"]
    session = onnxruntime.InferenceSession(tmp_path / "b.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert "integer" in told["steps"][0]["message"]


def test_quantize_graph_refuses_bits_that_a_mode_has_not(model, tmp_path, capsys):
    """Exit code 2, and what to use instead."""
    out = tmp_path / "o.onnx"

    assert run(["quantize-graph", f"--input={model}", f"--output={out}", "--mode=weights", "--bitdepth=4"]) == 2
    assert "mode weights has no 4 bits" in capsys.readouterr().err
