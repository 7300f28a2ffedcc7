"""ncnn's int8 table: as text, and the layers and scales that a graph gives it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.calibration.tables.ncnn import Int8Table, scale_of_threshold
from bitwright.calibration.tables.ncnn_layers import layers_of
from bitwright.errors import StatisticsError
from bitwright.graph.text import parse

POSITIVE = st.floats(2.0**-100, 2.0**100, width=32)
NAMES = st.text("abz019/_.:-", min_size=1, max_size=20).filter(lambda name: "_param_" not in name)


@given(st.dictionaries(NAMES, st.tuples(st.lists(POSITIVE | st.just(0.0), min_size=1), POSITIVE), min_size=1))
def test_table_gives_back_its_scales_to_the_digits_printed(layers):
    """Six decimals from 1 on, nine digits below: read and written again it is the same text."""
    weights = {name: np.float32(scales) for name, (scales, _) in layers.items()}
    table = Int8Table(weights, {name: scale for name, (_, scale) in layers.items()})

    read = Int8Table.from_text(table.to_text())

    assert table.to_text() == read.to_text()
    assert list(weights) == list(read.weights) == list(read.inputs)
    for name, scale in table.inputs.items():
        assert abs(scale - read.inputs[name]) <= max(5e-7, 1e-7 * scale)
        assert np.array_equal(weights[name] == 0, read.weights[name] == 0)


@given(POSITIVE)
def test_table_scale_survives_its_threshold(scale):
    """From a scale to the threshold that it stands for and back."""
    assert scale == scale_of_threshold(127 / scale)


def test_table_of_a_silent_input_has_the_scale_one():
    """127 / 0 would be no number; the integers of zeros are zeros whatever the scale."""
    assert [scale_of_threshold(0.0), scale_of_threshold(1e-45)] == [1.0, 1.0]


def test_table_reads_what_the_caffe_tools_write():
    """Twelve digits, a channel without weights, a layer that is commented out."""
    text = "conv1_param_0 0.0 3779.48337933 482.140562772\n#fc_param_0 1.5\nconv1 49.466518\n#fc 2\n"

    table = Int8Table.from_text(text)

    assert np.float32([0, 3779.48337933, 482.140562772]).tolist() == table.weights["conv1"].tolist()
    assert {"conv1": float(np.float32(49.466518))} == table.inputs


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        pytest.param("", "it has no scales", "x.table", id="empty"),
        pytest.param("#a 1\n", "it has no scales", "x.table", id="comments-alone"),
        pytest.param("a_param_0 1 2\na 12.3", "last line has no end", "x.table", id="truncated"),
        pytest.param("a_param_0\n", "'a_param_0' has no scales", "line 1", id="no-weights"),
        pytest.param("a_param_0 1\n\na 1 2\n", "'a' has 2 scales", "line 3", id="two-inputs"),
        pytest.param("a\n", "'a' has 0 scales", "line 1", id="no-input"),
        pytest.param("a 0\n", "'a' has the scale 0", "line 1", id="zero"),
        pytest.param("a_param_0 1 nan\n", "'a_param_0' cannot be 'nan'", "line 1", id="nan"),
        pytest.param("a inf\n", "'a' cannot be 'inf'", "line 1", id="infinite"),
        pytest.param("a -nan\n", "'a' cannot be '-nan'", "line 1", id="negative-nan"),
        pytest.param("a -2.5\n", "'a' cannot be '-2.5'", "line 1", id="negative"),
        pytest.param("a_param_0 -0\n", "cannot be '-0'", "line 1", id="negative-zero"),
        pytest.param("a 1e39\n", "'a' cannot be '1e39'", "line 1", id="beyond-float32"),
        pytest.param("a 1e-60\n", "'a' cannot be '1e-60'", "line 1", id="below-float32"),
        pytest.param("a 1_000\n", "'a' cannot be '1_000'", "line 1", id="pythons-own"),
        pytest.param("a " + "9" * 5000 + "\n", "'a' cannot be '9999", "line 1", id="a-long-number"),
        pytest.param("a 1\na 1\n", "'a' has two lines", "line 2", id="input-twice"),
        pytest.param("a_param_0 1\na_param_0 1\n", "'a_param_0' has two lines", "line 2", id="weights-twice"),
        pytest.param("TRT-8601-EntropyCalibration2\na: 3c008912\n", "0 scales", "line 1", id="another-table"),
    ],
)
def test_table_refuses_what_is_damaged(text, what, where):
    """Says what, in which line, and what to do."""
    with pytest.raises(StatisticsError) as caught:
        Int8Table.from_text(text, where="x.table")

    assert what in caught.value.what and len(caught.value.what) < 200
    assert where in caught.value.where
    assert caught.value.next


@given(st.text() | st.text("a_param 0123456789.-\n#"))
def test_table_refuses_any_text_or_reads_it(text):
    """Nothing but an error of ours, whatever the text."""
    try:
        Int8Table.from_text(text)
    except StatisticsError as error:
        assert error.next


@pytest.mark.parametrize("name", ["a b", "x_param_y", "#a", "a" * 248, "", "a\n"])
def test_table_refuses_to_write_names_that_ncnn_would_read_otherwise(name):
    """It splits lines at spaces, takes what holds _param_ for weights, and reads 255 bytes of a name."""
    with pytest.raises(StatisticsError, match="cannot hold the layer names") as caught:
        Int8Table({}, {name: 1.0, "good": 1.0}).to_text()

    assert "good" not in caught.value.what


LAYERS = """<ir_version: 10, opset_import: ["": 21]>
net (float[1, 2, 8, 8] x) => (float[1, 2] y)
<float[4, 2, 3, 3] w3 = {0}, float[4, 2, 3, 3] w3s = {0}, float[4, 1, 3, 3] wd = {0}, float[4, 2, 1, 1] w1 = {0},
 float[2, 16] wt = {0}, float[2, 2] wm = {0}, float[16, 2, 3, 3] wc = {0}>
{
  [plain] a = Conv <pads = [1, 1, 1, 1]> (x, w3)
  [grouped] b = Conv <group = 4, pads = [1, 1, 1, 1]> (a, wd)
  [up] u = ConvTranspose (x, wc)
  [strided] c = Conv <strides = [2, 2]> (x, w3s)
  [pointwise] d = Conv <group = 2> (b, w1)
  [dilated] e = Conv <dilations = [2, 2]> (x, w3)
  f = Flatten(b)
  [dense] g = Gemm <transB = 1> (f, wt)
  [product] h = MatMul (g, wm)
  [dynamic] i = MatMul (h, g)
  y = Identity(h)
}"""


def layers(weights):
    """The layers of LAYERS with these weights, by name."""
    model: ir.Model = parse(LAYERS)
    for name, array in weights.items():
        model.graph.initializers[name].const_value = ir.Tensor(array, name=name)
    return {layer.name: layer for layer in layers_of(model)}


WEIGHTS = {
    "w3": np.linspace(-4, 3, 72, dtype=np.float32).reshape(4, 2, 3, 3),
    "w3s": np.full((4, 2, 3, 3), 2, np.float32),
    "wd": np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3) - 9,
    "w1": np.arange(8, dtype=np.float32).reshape(4, 2, 1, 1),
    "wt": np.float32([[0.5] * 16, [0] * 16]),
    "wm": np.float32([[1, -8], [-2, 4]]),
    "wc": np.ones((16, 2, 3, 3), np.float32),
}


def test_layers_are_convolutions_on_images_and_products_with_constants():
    """Named like their nodes, each with the value that it reads."""
    found = layers(WEIGHTS)

    assert {name: layer.input for name, layer in found.items()} == {
        "plain": "x", "grouped": "a", "strided": "x", "pointwise": "b", "dilated": "x", "dense": "f", "product": "g",
    }  # fmt: skip


def test_layers_have_127_by_the_largest_weight_of_each_channel():
    """Rows of Gemm with transB, columns of MatMul; one scale a group; a channel of zeros has 0."""
    found = layers(WEIGHTS)

    assert found["strided"].scales.tolist() == [63.5] * 4
    assert np.float32([127 / 9, 127 / 8, 127 / 17, 127 / 26]).tolist() == found["grouped"].scales.tolist()
    assert np.float32([127 / 3, 127 / 7]).tolist() == found["pointwise"].scales.tolist()
    assert found["dense"].scales.tolist() == [254.0, 0.0]
    assert found["product"].scales.tolist() == [63.5, 15.875]


def test_layers_that_ncnn_runs_as_winograd_have_six_bits():
    """3 x 3 of stride 1 alone: its transform of larger weights overflows 16 bits."""
    found = layers(WEIGHTS)

    assert found["plain"].scales[0] == np.float32(31) / np.float32(4)
    assert found["dilated"].scales[0] == np.float32(127) / np.float32(4)


def test_layers_refuse_weights_that_are_no_numbers():
    """Names the node."""
    with pytest.raises(StatisticsError, match="NaN or Inf") as caught:
        layers({**WEIGHTS, "w3": np.full((4, 2, 3, 3), np.nan, np.float32)})

    assert caught.value.where == "node 'plain'"
