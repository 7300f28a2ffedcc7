"""pack, unpack, and inspect of what they make, from the command line in."""

from __future__ import annotations


def test_pack_says_what_each_stage_saved(model, tmp_path, as_json):
    """A row a tensor, and the bytes of both files."""
    found = as_json("pack", model, "-o", tmp_path / "m.bwz")

    assert [tensor["name"] for tensor in found["tensors"]] == ["cw", "fw"]
    assert found["bytes"]["model"] == model.stat().st_size
    assert found["bytes"]["packed"] == (tmp_path / "m.bwz").stat().st_size
    assert found["ratio"] > 1.1


def test_unpack_gives_back_the_file(model, tmp_path, done, as_json):
    """Byte for byte."""
    done("pack", model, "-o", tmp_path / "m.bwz")

    found = as_json("unpack", tmp_path / "m.bwz", "-o", tmp_path / "back.onnx")

    assert model.read_bytes() == (tmp_path / "back.onnx").read_bytes()
    assert found == {"output": [str(tmp_path / "back.onnx")], "bytes": model.stat().st_size}


def test_inspect_shows_the_model_and_the_stages(model, tmp_path, done, as_json):
    """As text and as JSON."""
    done("pack", model, "-o", tmp_path / "m.bwz", "--quiet")

    shown = done("inspect", tmp_path / "m.bwz")
    found = as_json("inspect", tmp_path / "m.bwz")

    assert all(word in shown for word in ("operators", "bytes by stage", "pruned", "shared", "coded"))
    assert found["operators"]["Conv"] == 1
    assert found["bytes"]["total"] == model.stat().st_size
    assert found["packed"]["bytes"]["packed"] == (tmp_path / "m.bwz").stat().st_size


def test_a_packed_model_is_quantized_and_converted(model, data, tmp_path, as_json):
    """It goes where a model goes."""
    as_json("pack", model, "-o", tmp_path / "m.bwz")

    as_json("quantize", tmp_path / "m.bwz", "-o", tmp_path / "q.onnx", "--calibration", data)
    as_json("convert", tmp_path / "m.bwz", tmp_path / "m.tflite")

    assert (tmp_path / "q.onnx").exists()
    assert (tmp_path / "m.tflite").exists()


def test_wrong_use_is_told(model, tmp_path, as_json):
    """A wrong suffix is 2, a damaged file 1; nothing is written."""
    assert "must end in .bwz" in as_json("pack", model, "-o", tmp_path / "m.zip", code=2)["error"]["what"]
    (tmp_path / "m.bwz").write_bytes(b"\x89BWZ\r\n\x1a\n" + bytes(100))
    assert "damaged" in as_json("unpack", tmp_path / "m.bwz", "-o", tmp_path / "b.onnx", code=1)["error"]["what"]
    assert not (tmp_path / "b.onnx").exists()
