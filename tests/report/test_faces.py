"""Ports of two models laid against each other."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.report.faces import Face, Port, align

SHOWN = ("a", "b")


def face(*inputs: Port, by_place: bool = False) -> Face:
    return Face(inputs, (Port("y", (None, 10)),), by_place)


def test_align_equal_faces_changes_nothing():
    """The same names and shapes: arrays go as they are."""
    alignment = align(face(Port("x", (None, 3, 8, 8))), face(Port("x", (None, 3, 8, 8))), SHOWN)
    x = np.zeros((2, 3, 8, 8))

    assert alignment.feeds({"x": x})["x"] is x


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param((1, 3, 8, 6), (1, 8, 6, 3), id="NCHW-to-NHWC"),
        pytest.param((1, 8, 6, 3), (1, 3, 8, 6), id="NHWC-to-NCHW"),
        pytest.param((1, 3, 9), (1, 9, 3), id="NCL-to-NLC"),
    ],
)
def test_align_finds_the_layout_by_shape(left, right):
    """Channels first against channels last is seen from the dimensions."""
    alignment = align(face(Port("x", left)), face(Port("x", right), by_place=True), SHOWN)

    assert alignment.feeds({"x": np.zeros(left)})["x"].shape == right


def test_align_believes_what_the_file_tells_where_shapes_do_not():
    """[1, 8, 8, 8] is the same either way: the layout that the file tells decides."""
    lowered = face(Port("x", (None, 8, 8, 8), (0, 2, 3, 1)), by_place=True)
    x = np.arange(512).reshape(1, 8, 8, 8)

    found = align(face(Port("x", (None, 8, 8, 8))), lowered, SHOWN).feeds({"x": x})["x"]
    back = align(lowered, face(Port("x", (None, 8, 8, 8))), SHOWN).feeds({"x": x})["x"]

    assert np.array_equal(x.transpose(0, 2, 3, 1), found)
    assert np.array_equal(x.transpose(0, 3, 1, 2), back)


def test_align_two_lowered_files_of_one_layout():
    """Both were lowered from the same graph: nothing is permuted."""
    lowered = face(Port("x", (None, 8, 8, 8), (0, 2, 3, 1)), by_place=True)
    x = np.zeros((1, 8, 8, 8))

    assert align(lowered, lowered, SHOWN).feeds({"x": x})["x"] is x


def test_align_results_come_back_in_the_reference_layout():
    """An NHWC output is given as the NCHW reference has it."""
    left = Face((), (Port("y", (1, 2, 4, 6)),))
    right = Face((), (Port("y", (1, 4, 6, 2)),), by_place=True)
    y = np.arange(48).reshape(1, 4, 6, 2)

    assert np.array_equal(y.transpose(0, 3, 1, 2), align(left, right, SHOWN).results({"y": y})["y"])


def test_align_takes_ports_by_place_where_a_file_names_them_otherwise():
    """A .tflite of another tool has names of its own."""
    alignment = align(face(Port("x", (1, 4))), face(Port("serving_x:0", (1, 4)), by_place=True), SHOWN)

    assert list(alignment.feeds({"x": np.zeros((1, 4))})) == ["serving_x:0"]


def test_align_refuses_ports_that_differ():
    """Two ONNX models of other names are not of the same network."""
    with pytest.raises(UsageError, match="different inputs: x against z"):
        align(face(Port("x", (1, 4))), face(Port("z", (1, 4))), SHOWN)
