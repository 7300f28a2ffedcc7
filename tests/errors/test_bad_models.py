"""Model files that must be refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

OUT = ("--mode", "weight-only")


@pytest.fixture(params=["quantize", "calibrate", "transform", "compare", "inspect"])
def verb(request, tmp_path, data, model):
    """Every verb that reads a model, as a function from the bad model's path to arguments."""
    return {
        "quantize": lambda bad: ("quantize", bad, "-o", tmp_path / "o.onnx", "--calibration", data),
        "calibrate": lambda bad: ("calibrate", bad, "-o", tmp_path / "o.npz", "--calibration", data),
        "transform": lambda bad: ("transform", bad, "-o", tmp_path / "o.onnx", "--transforms", "fold_constants"),
        "compare": lambda bad: ("compare", model, bad),
        "inspect": lambda bad: ("inspect", bad),
    }[request.param]


def test_a_truncated_file_is_refused(verb, model, tmp_path, refused):
    """Half a model is no model."""
    bad = tmp_path / "half.onnx"
    bad.write_bytes(model.read_bytes()[: model.stat().st_size // 2])

    assert "half.onnx" in refused(*verb(bad), code=1)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"PK\3\4 this is a zip", b"<html><body>404</body></html>", np.random.default_rng(0).bytes(5000)],
    ids=["empty", "zeros", "zip", "web-page", "noise"],
)
def test_what_is_not_a_model_is_refused(verb, content, tmp_path, refused):
    """Bytes of another kind are told from a model."""
    bad = tmp_path / "other.onnx"
    bad.write_bytes(content)

    assert "other.onnx" in refused(*verb(bad), code=1)


def test_a_file_that_does_not_exist_is_refused(verb, tmp_path, refused):
    """The path is named."""
    assert "nowhere.onnx" in refused(*verb(tmp_path / "nowhere.onnx"))


def test_a_folder_as_model_is_refused(verb, tmp_path, refused):
    """A folder is no model."""
    folder = tmp_path / "folder.onnx"
    folder.mkdir()

    assert "folder.onnx" in refused(*verb(folder))


def test_missing_external_data_is_refused(verb, proto, tmp_path, refused):
    """The file that is not there is named."""
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=16)
    (tmp_path / "big.data").unlink()

    assert "big.data" in refused(*verb(tmp_path / "big.onnx"), code=1)


def test_truncated_external_data_is_refused(verb, proto, tmp_path, refused):
    """Data that ends before its tensor does is named, instead of read as something else."""
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=16)
    whole = (tmp_path / "big.data").read_bytes()
    (tmp_path / "big.data").write_bytes(whole[: len(whole) // 2])

    assert "big.data" in refused(*verb(tmp_path / "big.onnx"), code=1)


def test_a_cycle_is_refused(verb, proto, tmp_path, refused):
    """Nodes that wait for each other have no order."""
    proto.graph.node[0].input[0] = "r"
    (tmp_path / "cycle.onnx").write_bytes(proto.SerializeToString())

    told = refused(*verb(tmp_path / "cycle.onnx"), code=1)

    assert "cycle.onnx" in told
