"""insert_logging, a run, freeze_requantization_ranges: ranges go from runs through a log into constants."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest

import bitwright as bw
from bitwright.compat.graph_transforms import log_values, transform_graph
from bitwright.compat.graph_transforms.range_log import overall, read_log
from bitwright.errors import TransformError

RANGES = 'insert_logging(op=RequantizationRange, show_name=true, message="__requant_min_max:")'
FREEZE = "freeze_requantization_ranges(min_max_log_file={}, min_percentile=0, max_percentile=0)"


@pytest.fixture
def quantized(network, tmp_path):
    """A file of dynamic arithmetic."""
    return transform_graph(network, "quantize_weights quantize_nodes").model.save(tmp_path / "q.onnx")[0]


@pytest.fixture
def logged(quantized, samples, tmp_path):
    """The log of runs of that file, instrumented and saved."""
    transform_graph(quantized, RANGES).model.save(tmp_path / "l.onnx")
    with open(tmp_path / "log.txt", "w") as file:
        log_values(tmp_path / "l.onnx", samples, file)
    return tmp_path / "log.txt"


def test_freezing_gives_the_ranges_of_the_runs(quantized, logged, samples, network, distance):
    """Each activation has the range that calibration on the same samples gives it; nothing is found at run time."""
    made = transform_graph(quantized, FREEZE.format(logged))

    assert made.model.plan.counts()["integer"] == 4
    seen = bw.calibrate(network, samples, method="minmax")
    for name in ("input_data", "relu"):
        low, high = min(seen.tensors[name].minimum, 0), seen.tensors[name].maximum
        assert made.model.plan.tensors[name].qparams.scale[0] == pytest.approx((high - low) / 255, rel=0.02)
    assert distance(made.model) > 33


@pytest.mark.parametrize("target", ["onnxruntime", "litert"])
def test_freezing_before_quantize_nodes_gives_the_same(target, quantized, logged, network, distance):
    """The float graph quantized with the log is the dynamic graph frozen with it."""
    after = transform_graph(quantized, FREEZE.format(logged), target=target).model
    before = transform_graph(network, f"{FREEZE.format(logged)} quantize_nodes", target=target).model

    assert before.plan.counts() == after.plan.counts()
    assert distance(before) == pytest.approx(distance(after), abs=0.5)


def test_freezing_leaves_dynamic_what_the_log_has_not(quantized, logged):
    """A node whose range is not in the log goes on as it was."""
    kept = [line for line in logged.read_text().splitlines() if "relu" not in line]
    logged.write_text("\n".join(kept))

    made = transform_graph(quantized, FREEZE.format(logged)).model

    assert made.plan.counts() == {"float": 3, "dynamic": 2}


def test_freezing_refuses_a_log_of_another_graph(quantized, logged):
    """A name that the graph does not have stops it, as in TensorFlow."""
    logged.write_text(logged.read_text().replace(";relu/", ";relu9/"))

    with pytest.raises(TransformError, match="'relu9', but the log has ranges of it"):
        transform_graph(quantized, FREEZE.format(logged))


def test_freezing_refuses_a_log_without_ranges(quantized, tmp_path):
    """It says how such a log is written."""
    (tmp_path / "log.txt").write_text("I0108 21:45:42 nothing of this kind\n;a__print__;__requant_min_max:[x][y]\n")

    with pytest.raises(TransformError, match="holds no range") as error:
        transform_graph(quantized, FREEZE.format(tmp_path / "log.txt"))

    assert "insert_logging(op=RequantizationRange" in str(error.value)


def test_read_log_reads_tensorflows_lines(tmp_path):
    """What TensorFlow's Print wrote, between other lines and behind glog's prefix."""
    (tmp_path / "log.txt").write_text(
        "I0108 21:45:42.26 1972 logging_ops.cc:79] "
        ";conv/Conv2D/eightbit/requant_range__print__;__requant_min_max:[-20.887871][22.274715]\n"
        "W something else [1][2]\n"
        ";RequantizationRange;;conv/Conv2D_eightbit_requant_range__print__;__requant_min_max:[-1e-3][3]\n"
    )

    assert read_log(tmp_path / "log.txt") == {"conv/Conv2D": [(-20.887871, 22.274715), (-0.001, 3.0)]}


def test_overall_leaves_out_five_percent():
    """Of a hundred runs the five lowest minima and the five highest maxima, as TensorFlow's default."""
    runs = [(-float(n), float(n)) for n in range(100)]

    assert overall(runs) == (-94.0, 95.0)
    assert overall(runs[:1]) == (0.0, 0.0)


def test_instrumented_graphs_run_anywhere(quantized, tmp_path, samples):
    """Plain ONNX Runtime gives two numbers more a tensor: what the log says."""
    transform_graph(quantized, RANGES).model.save(tmp_path / "l.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "l.onnx", providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]

    found = dict(zip(names, session.run(None, {"input_data": samples[:1]}), strict=True))

    assert found["input_data/eightbit/requant_range:0"] == samples[0].min()
    assert found["input_data/eightbit/requant_range:1"] == samples[0].max()
    file = io.StringIO()
    log_values(tmp_path / "l.onnx", samples[:1], file)
    name = "relu/eightbit/requant_range"
    low, high = (str(found[f"{name}:{side}"]) for side in (0, 1))
    assert f";{name}__print__;__requant_min_max:[{low}][{high}]\n" in file.getvalue()


def test_insert_logging_prints_what_print_printed(network, samples):
    """Operator, name, message, the first elements; so many times."""
    call = (
        "insert_logging(op=Relu, op=MatMul, prefix=re, show_op=true, show_name=true, message=m, summarize=2, first_n=3)"
    )
    made = transform_graph(network, call)
    file = io.StringIO()

    assert log_values(made.model, samples, file) == 3

    values = bw.run(transform_graph(network, "strip_unused_nodes", outputs=["relu"]).model, {"input_data": samples[:1]})
    first, second = (str(x) for x in next(iter(values.values())).ravel()[:2])
    line = file.getvalue().splitlines()[0]
    assert line.startswith(";Relu;;relu__print__;m[") and line.endswith("...]")
    np.testing.assert_allclose(
        [float(x) for x in line.split("[")[1][:-4].split()], [float(first), float(second)], rtol=1e-5
    )


def test_insert_logging_without_arguments_logs_every_node(network, samples):
    """All whose results somebody reads, as in TensorFlow."""
    file = io.StringIO()

    log_values(transform_graph(network, "insert_logging(message=all)").model, samples[:1], file)

    assert file.getvalue().count("all[") == 6


def test_log_values_refuses_a_model_that_logs_nothing(network, samples):
    """It says what would."""
    with pytest.raises(TransformError, match="logs nothing"):
        log_values(network, samples)


def test_quantize_nodes_takes_what_the_log_lacks_from_calibration(network, samples, tmp_path):
    """Ranges of the log stand, those of other tensors come from the samples."""
    log = tmp_path / "log.txt"
    log.write_text(";input_data/eightbit/requant_range__print__;__requant_min_max:[-2.0][3.1]\n")

    made = transform_graph(network, f"{FREEZE.format(log)} quantize_nodes", calibration=samples).model

    assert made.plan.counts()["integer"] == 4
    assert made.plan.tensors["input_data"].qparams.scale[0] == pytest.approx(5.1 / 255)


def test_transform_graph_refuses_calibration_that_nothing_reads(network, samples):
    """A list without quantize_nodes takes no ranges."""
    with pytest.raises(TransformError, match="no transform of the list reads any"):
        transform_graph(network, "fold_constants sort_by_execution_order", calibration=samples)
