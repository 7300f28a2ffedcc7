"""Outputs that cannot be written, and runs that are cut short: nothing half-written is left."""

from __future__ import annotations

import os
import resource
import signal
import time

import pytest

from bitwright.cli.main import run

SLOW = """
import pathlib, time
import numpy as np

def rows():
    for index in range(1000):
        if index == 3:
            pathlib.Path({marker!r}).touch()
        if index >= 3:
            time.sleep(0.05)
        yield {{"x": np.zeros((1, 3, 8, 8), np.float32) + index}}
"""


@pytest.fixture(params=["quantize", "calibrate", "transform"])
def verb(request, model, data):
    """Every verb that writes, as a function from the output's folder to arguments."""
    return {
        "quantize": lambda folder: ("quantize", model, "-o", folder / "o.onnx", "--calibration", data),
        "calibrate": lambda folder: ("calibrate", model, "-o", folder / "o.npz", "--calibration", data),
        "transform": lambda folder: ("transform", model, "-o", folder / "o.onnx", "--transforms", "fold_constants"),
    }[request.param]


def test_an_output_under_a_file_is_refused(verb, data, refused):
    """A file is no folder (this holds for the administrator too)."""
    assert "could not be written" in refused(*verb(data), code=1)


def test_an_output_in_a_missing_folder_is_refused(verb, tmp_path, refused):
    """Folders are not made in passing."""
    assert "could not be written" in refused(*verb(tmp_path / "missing"), code=1)


def test_an_output_that_is_a_folder_is_refused(verb, tmp_path, refused):
    """A folder of the output's name is not replaced."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("o.onnx", "o.npz"):
        (inside / name).mkdir()

    refused(*verb(inside), code=1)

    assert sorted(os.listdir(inside)) == ["o.npz", "o.onnx"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
def test_an_output_in_a_read_only_folder_is_refused(verb, tmp_path, refused):
    """A folder without the right to write is refused before the work."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)

    refused(*verb(locked), code=1)


@pytest.mark.parametrize("name", ["o.h5", "o", "o.npz"])
def test_an_output_of_another_suffix_is_a_usage_error(name, model, tmp_path, refused):
    """The suffix that is wanted is shown."""
    assert ".onnx" in refused("quantize", model, "-o", tmp_path / name, "--mode", "float16", code=2)


def test_the_output_is_checked_before_the_work(model, tmp_path, refused):
    """Samples are not touched when there is no place for the result."""
    marker = tmp_path / "started"
    (tmp_path / "feed.py").write_text(SLOW.format(marker=str(marker)))

    refused(
        "quantize", model, "-o", tmp_path / "no" / "o.onnx", "--calibration", f"{tmp_path / 'feed.py'}:rows", code=1
    )

    assert not marker.exists()


def _full() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_leaves_nothing(verb, tmp_path, start):
    """No file may pass 4 KiB here: the verb says so and leaves no part of one."""
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(*verb(folder), preexec_fn=_full)
    out, err = process.communicate(timeout=120)

    if process.returncode == 0:  # statistics of three tensors fit
        assert "calibrate" in verb(folder)
        return
    assert process.returncode == 1, err
    assert "OutputError" in err
    assert "next:" in err
    assert "Traceback" not in out + err
    assert os.listdir(folder) == []


def test_a_full_disk_keeps_the_file_that_was_there(model, tmp_path, start):
    """An output that is to be replaced stays whole when the new one does not fit."""
    old = tmp_path / "o.onnx"
    old.write_bytes(b"old")
    process = start("quantize", model, "-o", old, "--mode", "weight-only", preexec_fn=_full)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 1, err
    assert old.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "o.onnx"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
@pytest.mark.parametrize("verb_name", ["quantize", "calibrate"])
def test_an_interrupted_run_leaves_nothing(verb_name, number, model, tmp_path, start):
    """Ctrl-C in the middle of calibration: a line that says so, exit code 1, no traceback, no file."""
    marker = tmp_path / "started"
    (tmp_path / "feed.py").write_text(SLOW.format(marker=str(marker)))
    folder = tmp_path / "out"
    folder.mkdir()
    output = folder / ("o.onnx" if verb_name == "quantize" else "o.npz")
    process = start(verb_name, model, "-o", output, "--calibration", f"{tmp_path / 'feed.py'}:rows")
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)

    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1, err
    assert "interrupted; nothing was written" in err
    assert "where:" in err
    assert "next:" in err
    assert "Traceback" not in out + err
    assert os.listdir(folder) == []


def test_debug_shows_the_traceback(capsys):
    """--debug is for those who look after bitwright."""
    assert run(["inspect", "nowhere.onnx", "--debug"]) in (1, 2)

    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["quantize", "transform"])
def test_the_output_is_not_the_input(verb, model, refused):
    """Writing over the model that is read is refused: the float model would be lost."""
    before = model.read_bytes()
    options = ["--mode", "dynamic"] if verb == "quantize" else ["--transforms", "fold_constants"]

    told = refused(verb, model, "-o", model, *options, code=2)

    assert "the output is the input" in told
    assert model.read_bytes() == before


def test_a_full_standard_output_ends_without_a_traceback(model, start, tmp_path):
    """With --json into a full device the error goes to the other stream."""
    with open("/dev/full", "w") as full:
        process = start("inspect", model, "--json", stdout_to=full)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "Traceback" not in err and "next:" in err
