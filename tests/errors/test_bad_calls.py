"""Commands that are wrong in themselves."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx.parser
import pytest

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")


def test_an_unknown_mode_is_a_usage_error(model, tmp_path, refused):
    """The error lists the modes; exit code 2."""
    told = refused("quantize", model, "-o", tmp_path / "o.onnx", "--mode", "int3", code=2)

    assert "int3" in told
    assert all(mode in told for mode in MODES)


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "magic"),
        ("--weight-bits", "3"),
        ("--activations", "i3"),
        ("--target", "toaster"),
        ("--exclude", "("),
        ("--samples", "0"),
        ("--frobnicate",),
        ("--block-size", "33", "--mode", "weight-only"),
    ],
    ids=lambda options: options[0],
)
def test_a_wrong_option_is_a_usage_error(options, model, data, tmp_path, refused):
    """Exit code 2, and nothing is computed."""
    refused("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data, *options, code=2)


@pytest.mark.parametrize(
    "options",
    [
        ("--calibration", "d.npy", "--statistics", "s.npz"),
        ("--mode", "dynamic", "--save-statistics", "s.npz"),
        ("--calibration", "d.npy", "--save-statistics", "s.npz", "--equalize"),
    ],
    ids=["samples-and-statistics", "nothing-to-save", "equalized-statistics"],
)
def test_options_that_contradict_are_a_usage_error(options, model, tmp_path, monkeypatch, refused):
    """What cannot be meant together is refused before anything is read."""
    monkeypatch.chdir(tmp_path)

    refused("quantize", model, "-o", "o.onnx", *options, code=2)


@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
def test_an_integer_mode_without_samples_is_refused(mode, model, tmp_path, refused):
    """The error says that calibration data are needed."""
    assert "--calibration" in refused("quantize", model, "-o", tmp_path / "o.onnx", "--mode", mode)


def test_an_unknown_verb_is_a_usage_error(refused):
    """The name that was given is shown."""
    assert "frobnicate" in refused("frobnicate", code=2)


@pytest.mark.parametrize("verb", ["quantize", "calibrate", "transform", "compare", "inspect"])
def test_a_verb_without_its_model_is_a_usage_error(verb, refused):
    """What is missing is said."""
    assert "issing" in refused(verb, code=2)


@pytest.mark.parametrize(
    "text",
    ["not json", "{}", '[{"scope": "("}]', '[{"frobnicate": 1}]', '[{"compute": "magic"}]'],
    ids=["no-json", "no-list", "no-regex", "unknown-field", "unknown-compute"],
)
def test_a_bad_recipe_is_a_usage_error(text, model, data, tmp_path, refused):
    """The recipe's file is named."""
    (tmp_path / "r.json").write_text(text)

    refused(
        "quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data, "--recipe", tmp_path / "r.json", code=2
    )


def test_a_recipe_that_does_not_exist_is_refused(model, data, tmp_path, refused):
    """The path is named."""
    told = refused("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", data, "--recipe", tmp_path / "r.json")

    assert "r.json" in told


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no zip", b"hello"], ids=["empty", "half-zip", "text"])
def test_bad_statistics_are_refused(content, model, tmp_path, refused):
    """The statistics' file is named."""
    (tmp_path / "s.npz").write_bytes(content)

    told = refused("quantize", model, "-o", tmp_path / "o.onnx", "--statistics", tmp_path / "s.npz", code=1)
    assert "s.npz" in told
    refused("calibrate", "--merge", tmp_path / "s.npz", "-o", tmp_path / "all.npz", code=1)


@pytest.mark.parametrize("shard", ["4/4", "x", "1", "-1/4", "1/0"])
def test_a_malformed_shard_is_a_usage_error(shard, model, data, tmp_path, refused):
    """I/N with I below N."""
    refused("calibrate", model, "-o", tmp_path / "s.npz", "--calibration", data, f"--shard={shard}", code=2)


@pytest.mark.parametrize(
    "transforms", ["frobnicate", "fold_constants(", "fold_constants(frobnicate=1)"], ids=["unknown", "open", "argument"]
)
def test_a_wrong_transform_is_refused(transforms, model, tmp_path, refused):
    """The transform is named."""
    told = refused("transform", model, "-o", tmp_path / "o.onnx", "--transforms", transforms)

    assert transforms.split("(")[0] in told


def test_outputs_that_do_not_exist_are_refused(model, tmp_path, refused):
    """A name that is no value is shown."""
    told = refused(
        "transform", model, "-o", tmp_path / "o.onnx", "--transforms", "strip_unused_nodes", "--outputs", "nothing"
    )

    assert "nothing" in told


def test_max_drop_without_labels_is_a_usage_error(model, data, refused):
    """A bar on accuracy needs labels."""
    refused("compare", model, model, "--data", data, "--runs", 1, "--max-drop", "1", code=2)


def test_strict_lists_every_float_node_at_once(tmp_path, refused):
    """--strict refuses with all the nodes that would stay float, not with the first one."""
    text = """<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 4] x) => (float[N, 4] y) { s = Sin(x) r = Relu(s) y = Cos(r) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "odd.onnx")
    np.save(tmp_path / "rows.npy", np.ones((3, 4), np.float32))
    common = ("quantize", tmp_path / "odd.onnx", "-o", tmp_path / "o.onnx", "--calibration", tmp_path / "rows.npy")

    told = refused(*common, "--strict", code=1)

    assert "Sin" in told
    assert "Cos" in told


def test_an_error_in_json_names_its_type(capsys):
    """With --json the error is on standard output and nothing is on standard error."""
    from bitwright.cli.main import run

    assert run(["inspect", "nowhere.onnx", "--json"]) in (1, 2)
    out, err = capsys.readouterr()
    assert set(json.loads(out)["error"]) == {"type", "what", "where", "next"}
    assert err == ""
