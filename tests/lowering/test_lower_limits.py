"""Integer kernels that cannot take what a plan has for them: another form, or float, and never a refusal."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.graph.execution import random_feeds
from bitwright.program.reference import Reference


def quantized(model, mode: str, samples):
    return bw.quantize(ir.to_proto(model), mode, target="litert", calibration=samples, method="minmax").to_program()


@pytest.mark.parametrize("body", ["y = Clip(x, low, high)", "j = Concat <axis = 1> (x, x) y = Clip(j, low, high)"],
                         ids=["alone", "behind-a-concat"])  # fmt: skip
def test_lower_clip_to_one_at_16_bits_is_a_maximum_or_minimum(body, network, on_litert):
    """RELU_N1_TO_1 has no kernel for 16-bit integers."""
    model = network(f"g (float[1, 8] x) => (float[] y) <float low = {{-1}}, float high = {{1}}> {{ {body} }}")
    samples = [random_feeds(model, seed) for seed in range(4)]

    program = quantized(model, "int16x8", samples)
    made, wanted = Reference(program).run(samples[0])["y"], on_litert(program, samples[0])["y"]

    assert "RELU_N1_TO_1" not in {op.kind for op in program.operators}
    assert {"f32"} != {program.tensors[op.outputs[0]].dtype for op in program.operators}
    assert np.array_equal(wanted, made)
    assert np.abs(np.clip(samples[0]["x"], -1, 1) - made[:, :8]).max() < 2e-4


@pytest.mark.parametrize("operator", ["Sub(x, a)", "Sum(x, b)"], ids=["sub", "sum"])
@pytest.mark.parametrize("mode", ["int8", "int16x8"])
def test_lower_sum_far_smaller_than_its_operands_is_computed_in_float(mode, operator, network, on_litert):
    """LiteRT gives up on such scales; all that is lost is one integer kernel."""
    body = f"a = Mul(x, nearly) b = Neg(a) y = {operator}"
    model = network(f"g (float[1, 8] x) => (float[1, 8] y) <float nearly = {{0.9999999}}> {{ {body} }}")
    samples = [random_feeds(model, seed) for seed in range(4)]

    program = quantized(model, mode, samples)
    made, wanted = Reference(program).run(samples[0])["y"], on_litert(program, samples[0])["y"]

    sums = [op for op in program.operators if op.kind in ("SUB", "ADD")]
    assert [program.tensors[op.outputs[0]].dtype for op in sums] == ["f32"]
    assert np.array_equal(wanted, made)
