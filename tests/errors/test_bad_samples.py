"""Calibration and comparison data that must be refused."""

from __future__ import annotations

import re

import numpy as np
import pytest


@pytest.fixture(params=["quantize", "calibrate", "compare"])
def verb(request, tmp_path, model):
    """Every verb that reads data, as a function from its path to arguments."""
    return {
        "quantize": lambda bad: ("quantize", model, "-o", tmp_path / "o.onnx", "--calibration", bad),
        "calibrate": lambda bad: ("calibrate", model, "-o", tmp_path / "o.npz", "--calibration", bad),
        "compare": lambda bad: ("compare", model, model, "--data", bad, "--runs", 1),
    }[request.param]


@pytest.fixture
def good():
    """Six good samples."""
    return np.random.default_rng(1).standard_normal((6, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "minus-inf"])
def test_a_sample_that_is_not_finite_is_refused(verb, good, value, tmp_path, refused):
    """The sample's index and the input's name are in the error."""
    good[3, 1, 2, 2] = value
    np.save(tmp_path / "bad.npy", good)

    told = refused(*verb(tmp_path / "bad.npy"), code=1)

    assert "sample 3" in told
    assert "x" in told


def test_a_sample_of_the_wrong_shape_is_refused(verb, tmp_path, refused):
    """What came and what the input takes are both shown."""
    np.save(tmp_path / "bad.npy", np.zeros((4, 3, 9, 9), np.float32))

    told = refused(*verb(tmp_path / "bad.npy"), code=1)

    assert "9" in told
    assert "8" in told


@pytest.mark.parametrize("dtype", ["complex64", "<U3"], ids=["complex", "text"])
def test_a_sample_of_the_wrong_type_is_refused(verb, dtype, tmp_path, refused):
    """Values that are no real numbers are refused by type."""
    np.save(tmp_path / "bad.npy", np.zeros((4, 3, 8, 8), dtype))

    refused(*verb(tmp_path / "bad.npy"), code=1)


def test_a_wrong_input_name_is_refused(verb, good, tmp_path, refused):
    """The name that came and the name that is wanted are both shown."""
    np.savez(tmp_path / "bad.npz", image=good, mask=good)

    told = refused(*verb(tmp_path / "bad.npz"), code=1)

    assert "image" in told
    assert re.search(r"\bx\b", told)


def test_a_wrong_input_name_from_a_function_is_refused(verb, tmp_path, refused):
    """A dict whose key is no input is refused, though there is only one input it could mean."""
    (tmp_path / "feed.py").write_text(
        "import numpy as np\ndef rows():\n    yield {'image': np.zeros((1, 3, 8, 8), np.float32)}\n"
    )

    told = refused(*verb(f"{tmp_path / 'feed.py'}:rows"), code=1)

    assert "image" in told
    assert re.search(r"\bx\b", told)


def test_no_samples_are_refused(verb, tmp_path, refused):
    """An array without rows is no data."""
    np.save(tmp_path / "bad.npy", np.zeros((0, 3, 8, 8), np.float32))

    refused(*verb(tmp_path / "bad.npy"), code=1)


def test_an_empty_folder_is_refused(verb, tmp_path, refused):
    """A folder without files is no data."""
    (tmp_path / "empty").mkdir()

    assert "empty" in refused(*verb(tmp_path / "empty"), code=1)


def test_data_that_does_not_exist_is_refused(verb, tmp_path, refused):
    """The path is named."""
    assert "nowhere" in refused(*verb(tmp_path / "nowhere.npy"))


def test_data_of_an_unknown_kind_is_refused(verb, tmp_path, refused):
    """The error lists what can be read."""
    (tmp_path / "bad.xyz").write_bytes(b"hello")

    refused(*verb(tmp_path / "bad.xyz"))


def test_a_truncated_array_is_refused(verb, good, tmp_path, refused):
    """Half an array file is refused by name."""
    np.save(tmp_path / "whole.npy", good)
    whole = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "half.npy").write_bytes(whole[: len(whole) // 2])

    assert "half.npy" in refused(*verb(tmp_path / "half.npy"), code=1)


def test_a_truncated_archive_is_refused(verb, good, tmp_path, refused):
    """Half an archive is refused by name."""
    np.savez(tmp_path / "whole.npz", x=good)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])

    assert "half.npz" in refused(*verb(tmp_path / "half.npz"), code=1)


def test_a_function_that_fails_is_refused(verb, tmp_path, refused):
    """An error in the user's own code is told with its place."""
    (tmp_path / "feed.py").write_text("def rows():\n    yield 1 / 0\n")

    told = refused(*verb(f"{tmp_path / 'feed.py'}:rows"))

    assert "feed.py" in told


def test_a_function_that_is_not_there_is_refused(verb, tmp_path, refused):
    """The name that was asked is shown."""
    (tmp_path / "feed.py").write_text("x = 1\n")

    assert "nothing" in refused(*verb(f"{tmp_path / 'feed.py'}:nothing"))


@pytest.mark.parametrize("steps", ["mean=abc", "scale", "frobnicate=3"], ids=["no-number", "no-value", "unknown"])
def test_a_malformed_preprocess_is_refused(verb, steps, data, refused):
    """The step that is wrong is shown."""
    refused(*verb(data), "--preprocess", steps)
