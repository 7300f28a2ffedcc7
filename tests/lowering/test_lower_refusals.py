"""What cannot be lowered is said: all of it, node by node, each with its reason."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import UnsupportedOpError
from bitwright.lowering.lower import lower
from bitwright.numerics.qparams import QuantParams
from bitwright.quantization.plan import Compute, NodePlan, Plan, Role, TensorPlan, make_plan_value


def refused(model, plan=None) -> list[str]:
    """The lines of the error that lowering raises."""
    with pytest.raises(UnsupportedOpError) as caught:
        lower(model, plan)
    return [line.strip() for line in str(caught.value).splitlines() if line.startswith(" " * 11)]


def test_refusal_lists_every_node_once_with_its_reason(network):
    """What reads a refused node is looked at as well, and what is fine is not named."""
    model = network(
        """net (float[1, 4] x) => (float[1, 4] y) <float third = {3}> {
            [erf] a = Erf(x) [ok] b = Relu(a) [cube] c = Pow(b, third) [sign] d = Sign(c) [again] y = Erf(d)
        }"""
    )

    assert refused(model) == [
        "Erf erf: no operator does this, but for one that is part of a Gelu",
        "Pow cube: raises to a power other than 2, 1, 0.5 and -0.5",
        "Sign sign: no operator does this",
        "Erf again: no operator does this, but for one that is part of a Gelu",
    ]


def test_refusal_says_how_many_of_how_many(network):
    """What, where, next."""
    model = network("net (float[1, 4] x) => (float[1, 4] y) { [erf] a = Erf(x) [ok] y = Relu(a) }")

    with pytest.raises(UnsupportedOpError, match=r"1 of 2 nodes have no form in \.tflite") as caught:
        lower(model, None)

    assert "graph 'net', nodes:" in caught.value.where
    assert "keep the model in .onnx" in caught.value.next


HALVES = QuantParams(0.5)
IMAGE, STEPS = "float[1, 2, 4, 4] x", "float[{}, 1, 4] x, float[1, 8, 4] w, float[1, 8, 2] r"

#: name -> (inputs, constants, body, what is said).
FORMS = {
    "depends-on-data": ("float[1, 4] x", "", "[at] i = NonZero(x) c = Cast <to = 1> (i) y = ReduceSum(c)",
                        "NonZero at: no operator does this"),
    "part-reversed": ("float[4, 2, 3] x", "<int64[2] n = {4, 2}>", "[turn] y = ReverseSequence(x, n)",
                      "ReverseSequence turn: it reverses a part of its sequences"),
    "volume": ("float[1, 2, 4, 4, 4] x, float[2, 2, 3, 3, 3] w", "", "[conv] y = Conv(x, w)",
               "Conv conv: convolves over 3 dimensions, the kernels over one or two"),
    "dilated-pool": (IMAGE, "", "[pool] y = MaxPool <kernel_shape = [2, 2], dilations = [2, 2]> (x)",
                     "MaxPool pool: pools with dilations, which the kernels do not have"),
    "edge": (IMAGE, "<int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}>", '[pad] y = Pad <mode = "edge"> (x, p)',
             "Pad pad: pads with mode edge, which no kernel has"),
    "cubic": (IMAGE, "<int64[4] s = {1, 2, 8, 8}>", '[up] y = Resize <mode = "cubic"> (x, , , s)',
              "Resize up: interpolates by cubic, which no kernel does"),
    "clipped-lstm": (STEPS.format(3), "", "[rnn] y = LSTM <hidden_size = 2, clip = 3.0> (x, w, r)",
                     "LSTM rnn: clips or couples its gates"),
    "long-lstm": (STEPS.format(300), "", "[rnn] y = LSTM <hidden_size = 2> (x, w, r)",
                  "LSTM rnn: has 300 steps, more than 256 to unroll (recurrent operators of .tflite keep their states "
                  "from run to run, ONNX's start anew): split the sequence, and feed the states as inputs"),
    "double": ("float[4] x", "", "[wide] d = Cast <to = 11> (x) y = Cast <to = 1> (d)", "Cast wide: casts f32 to f64"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_refusal_names_what_the_kernels_do_not_have(name, network):
    """One reason a form."""
    inputs, constants, body, line = FORMS[name]

    assert line in refused(network(f"net ({inputs}) => (float[] y) {constants} {{ {body} }}"))


def test_refusal_names_foreign_operators_by_their_domain(network):
    """An operator of another domain has no counterpart, whatever its name."""
    model = network("net (float[1, 4] x) => (float[1, 4] y) { [mine] y = Relu(x) }")
    next(iter(model.graph)).domain = "com.example"
    model.opset_imports["com.example"] = 1

    assert refused(model) == ["Relu mine: operators of com.example have no counterpart"]


def dense_plan(weight: QuantParams, activation: QuantParams = HALVES) -> Plan:
    """A Gemm of x and w, activations alike."""
    tensors = [
        TensorPlan("x", Role.ACTIVATION, activation),
        TensorPlan("w", Role.WEIGHT, weight),
        TensorPlan("y", Role.ACTIVATION, activation),
    ]
    return make_plan_value("int8", "test", tensors, [NodePlan("dense", "Gemm", Compute.INTEGER)])


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (dense_plan(QuantParams(0.1, 3)), "its int8 weights have a zero_point, the kernels' have none"),
        (dense_plan(QuantParams(0.1, 100, "u8")), "its int8 weights have a zero_point, the kernels' have none"),
        (dense_plan(QuantParams(0.1, 0, "i16")), "its weights are i16, the kernels take i8"),
        (dense_plan(QuantParams(0.1), QuantParams(0.5, 3, "i16")),
         "its 16-bit activations have a zero_point, the kernels' have none"),
        (dense_plan(QuantParams(0.1), QuantParams(0.5, 3, "u16")),
         "its activations are u16, the kernels take i8 and i16"),
    ],
    ids=["weight-zero-point", "uint8-weight", "int16-weight", "int16-zero-point", "uint16"],
)  # fmt: skip
def test_refusal_names_parameters_that_no_kernel_takes(plan, reason, network):
    """A plan for another runtime may have them."""
    model = network("net (float[1, 4] x, float[4, 2] w) => (float[1, 2] y) { [dense] y = Gemm(x, w) }")

    with pytest.raises(UnsupportedOpError, match=reason):
        lower(model, plan)


def test_lower_respells_uint8_weights_around_128_exactly(network):
    """Their reals are those of int8 weights without a zero_point."""
    model = network("net (float[1, 4] x, float[4, 2] w) => (float[1, 2] y) { [dense] y = Gemm(x, w) }")
    reals = model.graph.initializers["w"].const_value.numpy()

    stored = lower(model, dense_plan(QuantParams(0.1, 128, "u8"))).tensors["w"]

    assert (stored.zero_point, stored.dtype) == (0, "i8")
    assert np.array_equal(np.clip(np.rint(reals.T / np.float32(0.1)), -128, 127), stored.data)
