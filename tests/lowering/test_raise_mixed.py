"""Files of floats and integers: what is float stays float on the way through a graph, what is rounded stays rounded."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

import bitwright as bw
from bitwright.formats.tflite.read import read_tflite
from bitwright.graph.execution import random_feeds
from bitwright.lowering.layout import layouts_of
from bitwright.lowering.lower import lower
from bitwright.lowering.raise_program import raise_program
from bitwright.program.reference import Reference


def raised_again(model):
    """An int8 Program of a graph, and the one that comes of its file."""
    samples = [random_feeds(model, seed) for seed in range(4)]
    small = bw.quantize(ir.to_proto(model), "int8", target="litert", calibration=samples, method="minmax")
    again = lower(*raise_program(read_tflite(small.to_tflite())))
    before = small.to_program()
    moved = layouts_of(before).inputs.get("x")
    return before, again, samples[0]["x"] if moved is None else samples[0]["x"].transpose(moved)


def assert_same_outputs(first, second, x) -> None:
    wanted, made = Reference(first).run({"x": x}), Reference(second).run({"x": x})
    for name, array in wanted.items():
        assert np.array_equal(array, made[name]), name


def test_raise_input_read_as_floats_and_as_integers_is_rounded_for_the_latter_alone(network):
    """The pool moves floats, which it would not see again once they were integers."""
    body = "y = Mul(x, c) z = MaxPool <kernel_shape = [2, 2]> (x)"
    model = network(
        f"g (float[1, 3, 4, 5] x, float[3, 1, 1] c) => (float[1, 3, 4, 5] y, float[1, 3, 3, 4] z) {{ {body} }}"
    )

    before, after, x = raised_again(model)

    assert "f32" in {before.tensors[op.outputs[0]].dtype for op in before.operators if op.kind == "MAX_POOL_2D"}
    assert_same_outputs(before, after, x)


def test_raise_float_result_that_is_rounded_to_integers_stays_rounded(network):
    """A mean that counts no border is float; its integers are what the file gives."""
    body = "y = AveragePool <kernel_shape = [3, 3], pads = [2, 2, 2, 2]> (x)"
    model = network(f"g (float[1, 3, 4, 5] x) => (float[1, 3, 6, 7] y) {{ {body} }}")

    before, after, x = raised_again(model)

    assert [op.kind for op in before.operators][-2:] == ["QUANTIZE", "DEQUANTIZE"]
    assert_same_outputs(before, after, x)


def test_raise_gather_of_one_index_takes_its_dimension_away(network):
    """A scalar stays a scalar."""
    model = network("g (float[1, 3, 4] x) => (float[1, 4] y) <int64 i = {-1}> { y = Gather <axis = 1> (x, i) }")

    raised, _ = raise_program(lower(model, None))

    gather = next(node for node in raised.graph if node.op_type == "Gather")
    assert len(gather.inputs[1].shape) == 0
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(ir.to_proto(raised), strict_mode=True))


def test_raise_product_with_a_vector_keeps_its_integers(network):
    """The vector is stored as a matrix, not reshaped while the file runs."""
    model = network("g (float[1, 3, 2, 6] x, float[6] v) => (float[1, 3, 2] y) { y = MatMul(x, v) }")

    before, after, x = raised_again(model)

    assert "BATCH_MATMUL" in {op.kind for op in before.operators}
    assert_same_outputs(before, after, x)
