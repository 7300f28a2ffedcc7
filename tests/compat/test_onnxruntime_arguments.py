"""Arguments that scripts give ONNX Runtime's quantizer in another form than it documents, or wrongly."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images, network

import bitwright.compat.onnxruntime as ours
from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationDataReader, samples_of
from bitwright.compat.onnxruntime.quantization.options import read_options
from bitwright.errors import StatisticsError, UsageError


class Reader(CalibrationDataReader):
    """Four images."""

    def __init__(self) -> None:
        self.rows = iter([{"image": sample[0]} for sample in images()])

    def get_next(self) -> Any:
        return next(self.rows, None)


@pytest.fixture
def net() -> onnx.ModelProto:
    """The nodes are named n, nn, nnn and so on."""
    made = network(flattens=True)
    for count, node in enumerate(made.graph.node, start=1):
        node.name = "n" * count
    return made


def static(net, folder, reader=None, **arguments):
    ours.quantize_static(net, folder / "q.onnx", Reader() if reader is None else reader, **arguments)
    return onnx.load(folder / "q.onnx").graph


def pairs(graph: onnx.GraphProto) -> int:
    return sum(node.op_type == "QuantizeLinear" for node in graph.node)


def test_static_takes_one_name_in_the_place_of_several(net, tmp_path):
    """A text is a name, and no collection of letters: the other nodes are quantized."""
    one, several = (static(net, tmp_path, nodes_to_exclude=given) for given in ("nnnnnnn", ["nnnnnnn"]))

    assert one == several
    assert pairs(one) > 0


def test_dynamic_takes_one_operator_in_the_place_of_several(net, tmp_path):
    """A MatMul stands for the Gemm; the convolutions stay."""
    ours.quantize_dynamic(net, tmp_path / "q.onnx", op_types_to_quantize="MatMul")

    kinds = {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert "Conv" in kinds
    assert "Gemm" not in kinds


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_quantizers_warn_where_no_node_is_left(mode, net, tmp_path):
    """A misspelt operator leaves the whole model float."""
    asked = {"op_types_to_quantize": ["Conv2D"]}
    with pytest.warns(UserWarning, match=r"nothing is quantized.*Conv2D"):
        if mode == "static":
            assert pairs(static(net, tmp_path, **asked)) == 0
        else:
            ours.quantize_dynamic(net, tmp_path / "q.onnx", **asked)


def test_static_takes_arrays_of_a_reader_for_one_input(net, tmp_path):
    """Such a reader does not end at the first array."""

    class Arrays(Reader):
        def get_next(self):
            sample = super().get_next()
            return None if sample is None else sample["image"]

    assert static(net, tmp_path, Arrays()) == static(net, tmp_path)


def test_static_uses_the_ranges_that_were_changed_in_its_cache(net, tmp_path):
    """The numbers that people can read are those that count."""
    cache = tmp_path / "ranges.json"
    before = static(net, tmp_path, calibration_cache_path=cache)
    told = json.loads(cache.read_text())
    told["data"]["b"]["highest"]["data"] = [1000.0]
    cache.write_text(json.dumps(told))

    after = static(net, tmp_path, calibration_cache_path=cache)

    scales = [{c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer} for graph in (before, after)]
    assert scales[1]["b_scale"] == pytest.approx(1000 / 255)
    assert scales[1]["d_scale"] == scales[0]["d_scale"]


@pytest.mark.parametrize("held", ["@@@", 5])
def test_static_refuses_a_cache_whose_own_part_is_damaged(held, net, tmp_path):
    """It is named."""
    cache = tmp_path / "ranges.json"
    static(net, tmp_path, calibration_cache_path=cache)
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"bitwright": held}))

    with pytest.raises(StatisticsError, match="not a calibration cache") as caught:
        static(net, tmp_path, calibration_cache_path=cache)
    assert caught.value.where == str(cache)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CalibStridedMinMax", 0),
        ("CalibStridedMinMax", "2"),
        ("CalibPercentile", "a"),
        ("MinimumRealRange", "x"),
        ("TensorQuantOverrides", [1]),
        ("TensorQuantOverrides", {"x": {"rmin": 0}}),
        ("TensorQuantOverrides", {"x": [{"rmin": "a"}]}),
        ("QDQOpTypePerChannelSupportToAxis", ["MatMul"]),
    ],
)
def test_options_refuse_values_of_another_form(name, value):
    """What is no number, no table."""
    with pytest.raises(UsageError) as caught:
        read_options({name: value}, static=True)
    assert caught.value.next


def test_options_are_a_table():
    """A list holds no values."""
    with pytest.raises(UsageError, match="extra_options"):
        read_options(["ActivationSymmetric"], static=True)  # type: ignore[arg-type]


def test_reader_without_parts_is_told_what_a_stride_needs():
    """__len__ and set_range, which the class that it derives from leaves open."""
    with pytest.raises(UsageError, match=r"Reader .*__len__ or set_range"):
        list(samples_of(Reader(), 2))


def test_preprocess_refuses_external_data_in_another_folder(net, tmp_path):
    """A file's name is asked for, and nothing is written."""
    with pytest.raises(UsageError, match="external_data_location"):
        ours.quant_pre_process(
            net, tmp_path / "p.onnx", save_as_external_data=True, external_data_location=str(tmp_path / "p.bin")
        )
    assert not list(tmp_path.iterdir())
