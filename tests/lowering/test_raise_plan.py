"""What a quantized Program becomes: parameters, roles, names, ports, and how each node computes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.errors import UnsupportedOpError
from bitwright.exporters.onnx.write import to_onnx
from bitwright.graph.constants import HalfTensor, QuantizedTensor
from bitwright.graph.execution import Execution, open_session
from bitwright.lowering.raise_program import PORTS, raise_program
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import dequantize, quantize
from bitwright.program.operator import Activation, Operator, Options
from bitwright.program.options import (
    AddOptions,
    ConcatenationOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    ReshapeOptions,
    SoftmaxOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import Tensor
from bitwright.quantization.plan import Compute, Role

ONE, OTHER = QuantParams(0.05, 3), QuantParams(0.08, -7)
FULL = FullyConnectedOptions()


def program(
    tensors: list[Tensor],
    operators: list[tuple[str, list[str | None], str, Options]],
    *,
    inputs: Any = ("x",),
    outputs: Any = ("y",),
) -> Program:
    """Ports are names of tensors, or pairs of a port's name and a tensor's."""
    ports = [tuple(Port(p, p) if isinstance(p, str) else Port(*p) for p in side) for side in (inputs, outputs)]
    steps = tuple(Operator(kind, tuple(given), (result,), options) for kind, given, result, options in operators)
    return Program({t.name: t for t in tensors}, steps, *ports)


def real(name: str, *shape: int, qparams: QuantParams | None = None) -> Tensor:
    return Tensor(name, shape, "f32" if qparams is None else qparams.storage, qparams)


def weight(name: str = "w", shape: tuple[int, ...] = (4, 6), axis: int = 0, seed: int = 0) -> Tensor:
    qparams = QuantParams(np.linspace(0.01, 0.02, shape[axis]), 0, "i8", axis)
    integers = np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)
    return Tensor(name, shape, "i8", qparams, integers)


def bias(count: int = 4, qparams: QuantParams | None = None, dtype: str = "i32") -> Tensor:
    data = np.arange(-2, count - 2).astype("int" + dtype[1:])
    return Tensor("b", (count,), dtype, qparams, data * 100)


def ops(model: Any) -> list[str]:
    return [node.op_type for node in model.graph]


def test_raise_float_ports_of_an_int8_file_have_the_parameters_behind_them():
    """QUANTIZE and DEQUANTIZE at the border are gone, their parameters those of the graph's input and output."""
    model, plan = raise_program(
        program(
            [
                real("x", 2, 6),
                real("xq", 2, 6, qparams=ONE),
                weight(),
                real("yq", 2, 4, qparams=OTHER),
                real("y", 2, 4),
            ],
            [
                ("QUANTIZE", ["x"], "xq", Options()),
                ("FULLY_CONNECTED", ["xq", "w", None], "yq", FULL),
                ("DEQUANTIZE", ["yq"], "y", Options()),
            ],
        )
    )

    assert ops(model) == ["Gemm"]
    assert plan is not None and (plan.qparams_of("x"), plan.qparams_of("y")) == (ONE, OTHER)
    assert PORTS not in model.metadata_props


def test_raise_integer_ports_are_told_in_the_metadata():
    """The graph has floats at its ports; what the file holds there is in its metadata."""
    model, _ = raise_program(
        program(
            [real("x", 2, 6, qparams=ONE), weight(), real("y", 2, 4, qparams=OTHER)],
            [("FULLY_CONNECTED", ["x", "w", None], "y", FULL)],
        )
    )

    assert json.loads(model.metadata_props[PORTS]) == {"inputs": {"x": "int8"}, "outputs": {"y": "int8"}}
    assert [v.dtype.name for v in (model.graph.inputs[0], model.graph.outputs[0])] == ["FLOAT", "FLOAT"]


def test_raise_uint8_ports_around_an_int8_model_leave_no_node():
    """QUANTIZE between uint8 and int8 of the same reals is only the port's type."""
    below = QuantParams(0.05, 131, "u8")
    model, plan = raise_program(
        program(
            [real("x", 2, 6, qparams=below), real("q", 2, 6, qparams=ONE), weight(), real("y", 2, 4, qparams=OTHER)],
            [("QUANTIZE", ["x"], "q", Options()), ("FULLY_CONNECTED", ["q", "w", None], "y", FULL)],
        )
    )

    assert ops(model) == ["Gemm"]
    assert plan is not None and plan.qparams_of("x") == ONE
    assert json.loads(model.metadata_props[PORTS])["inputs"]["x"] == "uint8"


def test_raise_quantize_between_parameters_stays():
    """As an Identity that computes in integers, each side with its own parameters."""
    _, plan = raise_program(
        program([real("x", 2, qparams=ONE), real("y", 2, qparams=OTHER)], [("QUANTIZE", ["x"], "y", Options())])
    )

    assert plan is not None
    assert [(n.op, n.compute) for n in plan.nodes.values()] == [("Identity", Compute.INTEGER)]
    assert (plan.qparams_of("x"), plan.qparams_of("y")) == (ONE, OTHER)


def test_raise_quantize_between_parameters_computes_in_onnx_runtime():
    """The QDQ file gives the reals of the Program's integers."""
    source = program(
        [real("x", 256, qparams=ONE), real("y", 256, qparams=OTHER)], [("QUANTIZE", ["x"], "y", Options())]
    )
    integers = np.arange(-128, 128).astype(np.int8)
    model, plan = raise_program(source)
    assert plan is not None

    # Optimized, ONNX Runtime makes one pair of the two: finer than asked, not what is asked.
    session = open_session(ir.to_proto(to_onnx(model, plan)).SerializeToString(), optimize=False)
    (got,) = session.run(None, {"x": dequantize(integers, ONE)})

    expected = dequantize(Reference(source).run({"x": integers})["y"], OTHER)
    assert np.abs(expected - got).max() <= OTHER.scale[0] * 1.01  # a tie may go to the other side
    assert (expected != got).mean() < 0.05


def test_raise_quantize_twice_keeps_both_parameters():
    """Of one float, quantized to two parameters, the second reads the float itself."""
    model, plan = raise_program(
        program(
            [
                real("x", 2, 6),
                real("one", 2, 6, qparams=ONE),
                real("other", 2, 6, qparams=OTHER),
                weight("v"),
                weight("w"),
                real("y", 2, 4, qparams=ONE),
                real("z", 2, 4, qparams=ONE),
            ],
            [
                ("QUANTIZE", ["x"], "one", Options()),
                ("QUANTIZE", ["x"], "other", Options()),
                ("FULLY_CONNECTED", ["one", "v", None], "y", FULL),
                ("FULLY_CONNECTED", ["other", "w", None], "z", FULL),
            ],
            outputs=("y", "z"),
        )
    )

    assert plan is not None
    fork = next(node for node in model.graph if node.op_type == "Identity")
    assert Compute.FLOAT is plan.compute_of(fork.name)
    assert (plan.qparams_of("x"), plan.qparams_of(fork.outputs[0].name)) == (ONE, OTHER)


def test_raise_rounding_of_a_float_is_not_lost():
    """QUANTIZE, DEQUANTIZE of a float that floats read: an Identity that computes in integers rounds it."""
    source = program(
        [real("x", 8), real("q", 8, qparams=ONE), real("r", 8), real("y", 8)],
        [("QUANTIZE", ["x"], "q", Options()), ("DEQUANTIZE", ["q"], "r", Options()), ("ABS", ["r"], "y", Options())],
    )
    x = np.linspace(-1, 1, 8).astype(np.float32)
    model, plan = raise_program(source)
    assert plan is not None

    got = Execution(to_onnx(model, plan)).run({"x": x})["y"]

    np.testing.assert_allclose(np.abs(dequantize(quantize(x, ONE), ONE)), got, rtol=1e-6)


def test_raise_value_before_a_fused_activation_has_no_parameters():
    """The clamp's result has them, under the tensor's name."""
    model, plan = raise_program(
        program(
            [real("x", 2, 6, qparams=ONE), weight(), real("y", 2, 4, qparams=OTHER)],
            [("FULLY_CONNECTED", ["x", "w", None], "y", FullyConnectedOptions(Activation.RELU6))],
        )
    )

    assert plan is not None
    assert [node.outputs[0].name for node in model.graph] == ["y_before_relu6", "y"]
    assert {"x", "w", "y"} == set(plan.tensors)
    assert {Compute.INTEGER} == {node.compute for node in plan.nodes.values()}


def test_raise_weights_keep_their_integers_names_and_axis():
    """[O, H, W, I] becomes [O, I, H, W], a depthwise [1, H, W, C] with axis 3 becomes [C, 1, H, W] with axis 0."""
    conv, depth = weight("conv", (4, 3, 2, 6)), weight("depth", (1, 3, 3, 4), axis=3)
    mid, out = real("mid", 1, 8, 8, 4, qparams=ONE), real("y", 1, 8, 8, 4, qparams=OTHER)
    model, plan = raise_program(
        program(
            [real("x", 1, 8, 8, 6, qparams=ONE), conv, depth, mid, out],
            [
                ("CONV_2D", ["x", "conv", None], "mid", Conv2DOptions()),
                ("DEPTHWISE_CONV_2D", ["mid", "depth", None], "y", DepthwiseConv2DOptions()),
            ],
        )
    )

    assert plan is not None
    for tensor, order in ((conv, (0, 3, 1, 2)), (depth, (3, 0, 1, 2))):
        held = model.graph.initializers[tensor.name].const_value
        assert isinstance(held, QuantizedTensor) and tensor.data is not None and tensor.qparams is not None
        np.testing.assert_array_equal(tensor.data.transpose(order), held.integers)
        assert (held.qparams.axis, plan.tensors[tensor.name].role) == (0, Role.WEIGHT)
        np.testing.assert_array_equal(tensor.qparams.scale, held.qparams.scale)


@pytest.mark.parametrize("told", [pytest.param(True, id="its-own"), pytest.param(False, id="the-product")])
def test_raise_bias_is_held_as_its_integers(told):
    """Its scale is its own, or that of the data times that of the weights."""
    scale = np.float32(0.05) * weight().qparams.scale  # type: ignore[union-attr]
    model, plan = raise_program(
        program(
            [
                real("x", 2, 6, qparams=ONE),
                weight(),
                bias(qparams=QuantParams(scale, 0, "i32", 0) if told else None),
                real("y", 2, 4, qparams=OTHER),
            ],
            [("FULLY_CONNECTED", ["x", "w", "b"], "y", FULL)],
        )
    )

    held = model.graph.initializers["b"].const_value
    assert isinstance(held, QuantizedTensor) and plan is not None
    assert held.integers.tolist() == [-200, -100, 0, 100]
    assert (plan.tensors["b"].role, held.qparams.storage, held.qparams.axis) == (Role.BIAS, "i32", 0)
    np.testing.assert_array_equal(scale, held.qparams.scale)


def test_raise_int16_activations_are_mode_int16x8():
    """With biases of 64 bits, as their integers."""
    wide = QuantParams(0.001, 0, "i16")
    model, plan = raise_program(
        program(
            [real("x", 2, 6, qparams=wide), weight(), bias(dtype="i64"), real("y", 2, 4, qparams=wide)],
            [("FULLY_CONNECTED", ["x", "w", "b"], "y", FULL)],
        )
    )

    assert plan is not None and plan.mode == "int16x8"
    assert model.graph.initializers["b"].const_value.qparams.storage == "i64"  # type: ignore[union-attr]


def test_raise_integer_weight_of_a_float_operator_is_dynamic():
    """The kernel quantizes the data as it arrives."""
    model, plan = raise_program(
        program(
            [real("x", 2, 6), weight(), real("y", 2, 4)],
            [("FULLY_CONNECTED", ["x", "w", None], "y", FULL)],
        )
    )

    assert plan is not None
    assert (plan.mode, [n.compute for n in plan.nodes.values()]) == ("dynamic", [Compute.DYNAMIC])
    assert ops(to_onnx(model, plan)) == ["DynamicQuantizeMatMul"]


def test_raise_integer_table_with_a_scale_for_each_row_computes():
    """EMBEDDING_LOOKUP in a table of integers: the ONNX file looks up what the Program does."""
    source = program(
        [Tensor("x", (3,), "i32"), weight("t", (6, 5)), real("y", 3, 5)],
        [("EMBEDDING_LOOKUP", ["x", "t"], "y", Options())],
    )
    feeds = {"x": np.int32([0, 5, 2])}
    model, plan = raise_program(source)
    assert plan is not None

    got = Execution(to_onnx(model, plan)).run(feeds)["y"]

    assert plan.mode == "weight-only"
    np.testing.assert_allclose(Reference(source).run(feeds)["y"], got, rtol=1e-6)


@pytest.mark.parametrize("storage", ["i8", "i4"])
def test_raise_dequantized_weight_is_weight_only(storage):
    """A constant behind DEQUANTIZE keeps its integers."""
    qparams = QuantParams(np.full(4, 0.1), 0, storage, 0)
    integers = np.random.default_rng(0).integers(-7, 8, (4, 6)).astype(np.int8)
    model, plan = raise_program(
        program(
            [real("x", 2, 6), Tensor("w", (4, 6), storage, qparams, integers), real("r", 4, 6), real("y", 2, 4)],
            [("DEQUANTIZE", ["w"], "r", Options()), ("FULLY_CONNECTED", ["x", "r", None], "y", FULL)],
        )
    )

    assert plan is not None
    assert (plan.mode, [n.compute for n in plan.nodes.values()]) == ("weight-only", [Compute.WEIGHT_ONLY])
    held = model.graph.initializers["w"].const_value
    assert isinstance(held, QuantizedTensor) and np.array_equal(integers, held.integers)


def test_raise_half_weight_is_float16():
    """A float16 constant behind DEQUANTIZE is held as halves, transposed for its operator."""
    halves = np.random.default_rng(0).standard_normal((4, 3, 3, 2)).astype(np.float16)
    model, plan = raise_program(
        program(
            [
                real("x", 1, 5, 5, 2),
                Tensor("w", halves.shape, "f16", None, halves),
                real("r", 4, 3, 3, 2),
                real("y", 1, 5, 5, 4),
            ],
            [("DEQUANTIZE", ["w"], "r", Options()), ("CONV_2D", ["x", "r", None], "y", Conv2DOptions())],
        )
    )

    held = model.graph.initializers["w"].const_value
    assert isinstance(held, HalfTensor) and np.array_equal(halves.transpose(0, 3, 1, 2), held.halves)
    assert plan is not None
    assert (plan.mode, next(n.compute for n in plan.nodes.values() if n.op == "Conv")) == ("float16", Compute.FLOAT16)


def test_raise_keeps_port_names_and_tensor_names():
    """Ports are the graph's face; an inner value has its tensor's name, the border's other order a suffix."""
    w = Tensor("w", (2, 1, 1, 2), data=np.ones((2, 1, 1, 2), np.float32))
    model, plan = raise_program(
        program(
            [real("serving_x:0", 1, 4, 5, 2), w, real("mid", 1, 4, 5, 2), real("Identity:0", 1, 4, 5, 4)],
            [
                ("CONV_2D", ["serving_x:0", "w", None], "mid", Conv2DOptions()),
                ("CONCATENATION", ["mid", "serving_x:0"], "Identity:0", ConcatenationOptions(-1)),
            ],
            inputs=[("image", "serving_x:0")],
            outputs=[("scores", "Identity:0")],
        )
    )

    assert plan is None
    assert [(v.name, list(v.shape or ())) for v in model.graph.inputs] == [("image", [1, 4, 5, 2])]
    assert [(v.name, list(v.shape or ())) for v in model.graph.outputs] == [("scores", [1, 4, 5, 4])]
    names = [value.name for node in model.graph for value in node.outputs]
    assert names == ["serving_x:0_nchw", "mid", "Identity:0", "scores"]
    assert ops(model) == ["Transpose", "Conv", "Concat", "Transpose"]
    assert len({node.name for node in model.graph}) == len(names)


def test_raise_input_that_is_an_output_too_gets_an_identity():
    """A graph's output is made by a node; the same tensor under two names is made twice."""
    model, _ = raise_program(
        program(
            [real("x", 3), real("y", 3)],
            [("ABS", ["x"], "y", Options())],
            outputs=[("same", "x"), ("one", "y"), ("two", "y")],
        )
    )

    assert [v.name for v in model.graph.outputs] == ["same", "one", "two"]
    got = Execution(model).run({"x": np.float32([-1, 0, 2])})
    assert [got[name].tolist() for name in ("same", "one", "two")] == [[-1, 0, 2], [1, 0, 2], [1, 0, 2]]


def test_raise_output_of_an_inputs_name_gets_a_suffix():
    """A file may call both the same, a graph not."""
    model, _ = raise_program(
        program([real("x", 3), real("y", 3)], [("NEG", ["x"], "y", Options())], outputs=[("x", "y")])
    )

    assert [v.name for v in model.graph.outputs] == ["x_output"]
    assert Execution(model).run({"x": np.float32([-1, 0, 2])})["x_output"].tolist() == [1, 0, -2]


def test_raise_lists_all_that_it_cannot_raise():
    """Each operator with its reason, in one error."""
    source = program(
        [
            real("x", 2, 3),
            Tensor("s", (2,), "i32"),
            real("r", 3, 2),
            real("t", 3, 2),
            Tensor("v", (3, 2), variable=True),
            real("y", 3, 2),
        ],
        [
            ("RESHAPE", ["x", "s"], "r", ReshapeOptions()),
            ("NO_SUCH_KIND", ["r"], "t", Options()),
            ("ADD", ["t", "v"], "y", AddOptions()),
        ],
        inputs=("x", "s"),
    )

    with pytest.raises(UnsupportedOpError) as raised:
        raise_program(source)

    assert "NO_SUCH_KIND: nothing in ONNX is known to do the same (t)" in str(raised.value)
    assert "ADD: it reads 'v', state that is kept between runs" in str(raised.value)


def test_raise_softmax_over_channels_follows_the_layout():
    """The last dimension of the stored tensor is the second of the value."""
    w = Tensor("w", (2, 1, 1, 2), data=np.ones((2, 1, 1, 2), np.float32))
    model, _ = raise_program(
        program(
            [real("x", 1, 4, 5, 2), w, real("mid", 1, 4, 5, 2), real("y", 1, 4, 5, 2)],
            [
                ("CONV_2D", ["x", "w", None], "mid", Conv2DOptions()),
                ("SOFTMAX", ["mid"], "y", SoftmaxOptions(1.0)),
            ],
        )
    )

    softmax = next(node for node in model.graph if node.op_type == "Softmax")
    assert softmax.attributes["axis"].as_int() == 1
