"""Which plans mean TFLite's old uint8 form: by what they hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bitwright as bw
from bitwright.lowering.parameters import is_legacy
from bitwright.model import Model
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Plan, Role, TensorPlan, make_plan_value


def plan(mode: str, target: str, activations: str, weights: str) -> Plan:
    """One tensor for each storage type named."""
    tensors = [TensorPlan(f"a{s}", Role.ACTIVATION, QuantParams(0.5, 0, s)) for s in activations.split()]
    tensors += [TensorPlan(f"w{s}", Role.WEIGHT, QuantParams(0.5, 0, s)) for s in weights.split()]
    return make_plan_value(mode, target, tensors, [])


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (True, plan("recipe", "litert", "u8", "u8")),
        (True, plan("recipe", "litert", "u8", "")),
        (True, plan("recipe", "litert", "u8", "u8 i8")),
        (False, plan("recipe", "litert", "u8", "i8")),
        (False, plan("recipe", "litert", "i8", "i8")),
        (False, plan("int8", "litert", "u8 i8", "")),
        (True, plan("uint8", "onnxruntime", "u8", "u8")),
        (False, plan("int8", "onnxruntime", "u8", "u8")),
        (False, plan("uint8", "onnxruntime", "u8", "i8")),
        (False, None),
    ],
    ids=[
        *("both", "activations-alone", "some-weights-i8", "i8-weights", "int8", "u8-port-of-i8"),
        *("uint8-of-another", "u8-of-another", "mixed-of-another", "float"),
    ],
)
def test_legacy_plan_is_known_by_what_it_holds(expected, given):
    """Of LiteRT's by the storage types; of other runtimes' by the mode that is asked."""
    assert expected == is_legacy(given)


def test_uint8_recipe_for_litert_is_written_as_uint8(network, on_litert):
    """A recipe has no mode of its own; the file holds u8 all the same, and its reals are near the float ones."""
    graph = network("net (float[1, 8] x, float[16, 8] w) => (float[1, 16] y) { [dense] y = Gemm <transB = 1> (x, w) }")
    how = {"compute": "integer", "activation_storage": "u8", "weight_storage": "u8", "weight_symmetric": False}
    samples = [{"x": np.random.default_rng(i).standard_normal((1, 8)).astype(np.float32)} for i in range(4)]

    recipe = bw.Recipe.from_json(json.dumps([how | {"weight_granularity": "per-tensor"}]))
    small = bw.quantize(Model(graph, None, None), recipe=recipe, calibration=samples, target="litert")
    program = small.to_program()

    assert small.plan is not None and small.plan.mode == "recipe"
    assert {"f32", "u8"} == {t.dtype for t in program.tensors.values() if t.dtype not in ("i32", "i64")}
    expected = samples[0]["x"] @ graph.graph.initializers["w"].const_value.numpy().T
    np.testing.assert_allclose(expected, on_litert(program, samples[0])["y"], atol=0.05 * float(np.abs(expected).max()))
