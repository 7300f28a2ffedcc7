"""QuantizationDebugger: errors layer by layer, layers left float, models that come without a converter."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images, network

from bitwright.compat.tflite import (
    OpsSet,
    Optimize,
    QuantizationDebugger,
    QuantizationDebugOptions,
    TFLiteConverter,
)
from bitwright.errors import UsageError
from bitwright.formats.tflite.read import read_tflite


def converter() -> TFLiteConverter:
    made = TFLiteConverter.from_onnx(network())
    made.optimizations, made.representative_dataset = [Optimize.DEFAULT], images
    return made


def debugger(**options: Any) -> QuantizationDebugger:
    return QuantizationDebugger(
        converter=converter(), debug_dataset=images, debug_options=QuantizationDebugOptions(**options)
    )


def dumped(made: QuantizationDebugger) -> list[dict[str, str]]:
    file = io.StringIO()
    made.layer_statistics_dump(file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def results(content: bytes, kind: str) -> list[str]:
    """Types of what operators of a kind give."""
    program = read_tflite(content)
    return [program.tensors[o.outputs[0]].dtype for o in program.operators if o.kind == kind]


def test_debugger_dumps_tflites_columns():
    """One row an integer layer, with TFLite's columns; a layer's error is about a third of its scale."""
    made = debugger()
    made.run()
    rows = dumped(made)

    assert list(rows[0]) == [
        *("op_name", "tensor_idx", "num_elements", "stddev", "mean_error", "max_abs_error", "mean_squared_error"),
        *("scale", "zero_point", "tensor_name"),
    ]
    kinds = ["CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert [row["op_name"] for row in rows if row["op_name"] != "RESHAPE"] == kinds
    assert float(rows[0]["num_elements"]) == 8 * 8 * 16
    program = read_tflite(made.get_nondebug_quantized_model())
    names = list(program.tensors)
    for row in rows:
        assert names[int(row["tensor_idx"])] == row["tensor_name"]
        assert float(row["stddev"]) < float(row["scale"])


def test_debugger_metrics_of_the_user_are_measured():
    """Of a layer's errors, of its floats against its integers, of the model's outputs."""
    made = debugger(
        layer_debug_metrics={"l1": lambda errors: float(np.abs(errors).mean())},
        layer_direct_compare_metrics={
            "same": lambda floats, q, scale, point: float(((q.astype(int) - point) * scale - floats).std())
        },
        model_debug_metrics={"mae": lambda floats, quantized: float(np.abs(floats[0] - quantized[0]).mean())},
    )
    made.run()

    for row in dumped(made):
        assert float(row["same"]) == pytest.approx(float(row["stddev"]), rel=1e-3, abs=1e-7)
        assert float(row["l1"]) <= float(row["max_abs_error"])
    assert 0 < made.model_statistics["mae"] < 0.02


def test_debugger_leaves_denylisted_operators_float():
    """All of a kind."""
    made = debugger(denylisted_ops=["CONV_2D"])

    content = made.get_nondebug_quantized_model()

    assert results(content, "CONV_2D") == ["f32", "f32"]
    assert results(content, "FULLY_CONNECTED") == ["i8"]
    assert made.get_debug_quantized_model() == content


def test_debugger_leaves_a_denylisted_node_float_with_what_is_fused_into_it():
    """A convolution and its Relu, by the name of their result."""
    made = debugger()
    made.run()
    first = dumped(made)[0]["tensor_name"]

    made.options = QuantizationDebugOptions(denylisted_nodes=[first])

    assert results(made.get_nondebug_quantized_model(), "CONV_2D") == ["f32", "i8"]
    assert "RELU" not in {o.kind for o in read_tflite(made.get_nondebug_quantized_model()).operators}
    assert made.layer_statistics is None


def test_debugger_denylists_under_integers_alone():
    """What is denylisted stays float though the converter asks for integers alone."""
    given = converter()
    given.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS_INT8]

    made = QuantizationDebugger(
        converter=given, debug_options=QuantizationDebugOptions(denylisted_ops=["FULLY_CONNECTED"])
    )

    assert results(made.get_nondebug_quantized_model(), "FULLY_CONNECTED") == ["f32"]


def test_debugger_fully_quantize_gives_integer_ports():
    """fully_quantize=True."""
    program = read_tflite(debugger(fully_quantize=True).get_nondebug_quantized_model())

    assert [program.tensors[p.tensor].dtype for p in (*program.inputs, *program.outputs)] == ["i8", "i8"]


def test_debugger_takes_a_quantized_file_as_it_is():
    """No converter, no operators for debugging; samples in the file's own layout; the float file for model metrics."""
    made = converter()
    content = made.convert()
    made.optimizations = []
    made.representative_dataset = None
    told = QuantizationDebugger(
        quant_debug_model_content=content,
        float_model_content=made.convert(),
        debug_dataset=lambda: images(channels_last=True),
        debug_options=QuantizationDebugOptions(model_debug_metrics={"mae": lambda a, b: np.abs(a[0] - b[0]).mean()}),
    )
    told.run()
    other = debugger()
    other.run()

    assert other.layer_statistics == told.layer_statistics
    assert 0 < told.model_statistics["mae"] < 0.02
    with pytest.raises(UsageError, match="no converter"):
        told.get_nondebug_quantized_model()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: QuantizationDebugger(), "one model", id="no-model"),
        pytest.param(
            lambda: QuantizationDebugger(converter=TFLiteConverter.from_onnx(network())), "float model", id="float"
        ),
        pytest.param(
            lambda: QuantizationDebugger(quant_debug_model_content=TFLiteConverter.from_onnx(network()).convert()),
            "no quantized layers",
            id="float-file",
        ),
        pytest.param(lambda: debugger(denylisted_ops=["CONV_3D"], denylisted_nodes=["x"]), "CONV_3D, x", id="unknown"),
        pytest.param(
            lambda: QuantizationDebugOptions(layer_debug_metrics={"m": abs}, model_debug_metrics={"m": abs}),
            "called m",
            id="two-metrics-of-one-name",
        ),
        pytest.param(lambda: QuantizationDebugger(converter=converter()).run(), "no samples", id="no-samples"),
        pytest.param(lambda: debugger().layer_statistics_dump(io.StringIO()), "run", id="dump-before-run"),
    ],
)
def test_debugger_refuses(make, message):
    """Each with what is wrong."""
    with pytest.raises(UsageError, match=message):
        make()
