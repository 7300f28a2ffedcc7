"""What a written file holds, seen with the published schema classes and with LiteRT."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tflite

import bitwright
from bitwright.errors import BitwrightError, ModelError, OutputError, UnsupportedOpError
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator, Options
from bitwright.program.options import (
    AddOptions,
    BatchMatMulOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    GatherOptions,
    GeluOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    StridedSliceOptions,
    SubOptions,
    TransposeConvOptions,
    UnidirectionalSequenceLSTMOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor
from bitwright.program.text import to_text


def program(tensors: Iterable[Tensor], operators: Iterable[Operator] = (), **about: Any) -> Program:
    """Its first tensor is the input, its last the output."""
    named = {tensor.name: tensor for tensor in tensors}
    first, last = next(iter(named)), next(reversed(named))
    return Program(named, tuple(operators), (Port(first, first),), (Port(last, last),), **about)


def call(kind: str, types: str, *, options: Options | None = None, shapes: str = "", **qparams: QuantParams) -> Program:
    """One operator. `types` lists its operands' and its result's storage types, "-" for one that is left out; `shapes`
    their shapes, as "1x4 4 1x4"; qparams by the place among them, as `t1=`.
    """
    sizes = [tuple(map(int, shape.split("x"))) for shape in shapes.split()] or [(1, 2, 2, 4)] * len(types.split())
    names = [None if dtype == "-" else f"t{index}" for index, dtype in enumerate(types.split())]
    tensors = [
        Tensor(name, shape, dtype, qparams.get(name))
        for name, shape, dtype in zip(names, sizes, types.split(), strict=True)
        if name is not None
    ]
    operator = Operator(kind, tuple(names[:-1]), (str(names[-1]),), options or ROWS[kind].options())
    return program(tensors, [operator])


def parsed(data: bytes) -> Any:
    """The root table."""
    return tflite.Model.GetRootAs(data)


def entries(data: bytes) -> dict[str, bytes]:
    """The metadata."""
    model = parsed(data)
    found = (model.Metadata(index) for index in range(model.MetadataLength()))
    return {entry.Name().decode(): bytes(model.Buffers(entry.Buffer()).DataAsNumpy()) for entry in found}


I8 = QuantParams(0.5, 0, "i8")
I16 = QuantParams(0.5, 0, "i16")
PER_AXIS = QuantParams([0.5] * 4, 0, "i8", 0)
DILATED = DepthwiseConv2DOptions(dilation_h_factor=2)
LSTM = UnidirectionalSequenceLSTMOptions
FIVE = "1x2x2x2x4 1x2x2x2x4 1x2x2x2x4"
BROADCAST = "1x2x2x2x4 4 1x2x2x2x4"


@pytest.mark.parametrize(
    ("version", "of"),
    [
        pytest.param(1, call("CONV_2D", "f32 f32 f32 f32"), id="conv-float"),
        pytest.param(1, call("CONV_2D", "u8 u8 i32 u8"), id="conv-legacy"),
        pytest.param(3, call("CONV_2D", "i8 i8 i32 i8"), id="conv-int8"),
        pytest.param(4, call("CONV_2D", "i16 i8 i64 i16"), id="conv-16x8"),
        pytest.param(7, call("CONV_2D", "i8 i4 i32 i8"), id="conv-int4"),
        pytest.param(2, call("CONV_2D", "f32 i8 f32 f32"), id="conv-hybrid"),
        pytest.param(
            5, call("CONV_2D", "f32 i8 f32 f32", shapes="1x2x2x4 4x1x1x4 4 1x2x2x4", t1=PER_AXIS), id="conv-per-axis"
        ),
        pytest.param(6, call("CONV_2D", "f32 f32 - f32", shapes="1x2x2x4 4x1x1x2 1 1x2x2x4"), id="conv-groups"),
        pytest.param(1, call("DEPTHWISE_CONV_2D", "f32 f32 f32 f32"), id="depthwise-float"),
        pytest.param(2, call("DEPTHWISE_CONV_2D", "f32 f32 f32 f32", options=DILATED), id="depthwise-dilated"),
        pytest.param(3, call("DEPTHWISE_CONV_2D", "i8 i8 i32 i8", options=DILATED), id="depthwise-int8"),
        pytest.param(4, call("DEPTHWISE_CONV_2D", "f32 i8 f32 f32"), id="depthwise-hybrid"),
        pytest.param(5, call("DEPTHWISE_CONV_2D", "i16 i8 i64 i16"), id="depthwise-16x8"),
        pytest.param(1, call("TRANSPOSE_CONV", "i32 f32 f32 f32"), id="transpose-conv-float"),
        pytest.param(2, call("TRANSPOSE_CONV", "i32 i8 i8 i8"), id="transpose-conv-int8"),
        pytest.param(3, call("TRANSPOSE_CONV", "i32 i8 i8 i32 i8"), id="transpose-conv-bias"),
        pytest.param(
            4,
            call(
                "TRANSPOSE_CONV",
                "i32 i8 i8 i32 i8",
                options=TransposeConvOptions(fused_activation_function=Activation.RELU),
            ),
            id="transpose-conv-activation",
        ),
        pytest.param(1, call("FULLY_CONNECTED", "f32 f32 f32 f32"), id="dense-float"),
        pytest.param(1, call("FULLY_CONNECTED", "f32 f32 - f32"), id="dense-no-bias"),
        pytest.param(6, call("FULLY_CONNECTED", "f32 f32 f32"), id="dense-two-operands"),
        pytest.param(4, call("FULLY_CONNECTED", "i8 i8 i32 i8"), id="dense-int8"),
        pytest.param(7, call("FULLY_CONNECTED", "i16 i8 i64 i16"), id="dense-16x8"),
        pytest.param(10, call("FULLY_CONNECTED", "i8 i4 i32 i8"), id="dense-int4"),
        pytest.param(3, call("FULLY_CONNECTED", "f32 i8 f32 f32", t1=I8), id="dense-hybrid"),
        pytest.param(
            9,
            call("FULLY_CONNECTED", "f32 i8 f32 f32", options=FullyConnectedOptions(asymmetric_quantize_inputs=True)),
            id="dense-hybrid-asymmetric",
        ),
        pytest.param(
            12, call("FULLY_CONNECTED", "f32 i8 - f32", shapes="1x4 4x4 1 1x4", t1=PER_AXIS), id="dense-per-axis"
        ),
        pytest.param(
            5,
            call("FULLY_CONNECTED", "f32 f32 f32 f32", options=FullyConnectedOptions(keep_num_dims=True)),
            id="dense-keep-dims",
        ),
        pytest.param(3, call("BATCH_MATMUL", "i16 i16 i16"), id="matmul-int16"),
        pytest.param(
            4,
            call("BATCH_MATMUL", "f32 i8 f32", options=BatchMatMulOptions(asymmetric_quantize_inputs=True)),
            id="matmul-hybrid",
        ),
        pytest.param(1, call("ADD", "f32 f32 f32"), id="add-float"),
        pytest.param(2, call("ADD", "i8 i8 i8", t0=I8), id="add-int8"),
        pytest.param(4, call("ADD", "i64 i64 i64"), id="add-int64"),
        pytest.param(5, call("ADD", "i16 i16 i16"), id="add-plain-int16"),
        pytest.param(
            3, call("ADD", "i16 i16 i16", options=AddOptions(pot_scale_int16=False), t0=I16), id="add-any-scale"
        ),
        pytest.param(1, call("ADD", "i16 i16 i16", t0=I16), id="add-power-of-two-scale"),
        pytest.param(3, call("SUB", "f32 f32 f32", shapes=BROADCAST), id="sub-broadcast-5d"),
        pytest.param(5, call("SUB", "i16 i16 i16", options=SubOptions(pot_scale_int16=False)), id="sub-any-scale"),
        pytest.param(2, call("MUL", "i8 i8 i8", t0=I8, t1=I8, t2=QuantParams(1.0)), id="mul-int8"),
        pytest.param(3, call("MUL", "i8 i8 i8", t0=I8, t1=I8, t2=QuantParams(0.25)), id="mul-scale-of-one"),
        pytest.param(4, call("MUL", "i16 i16 i16", t0=I16, t1=I16, t2=I16), id="mul-int16"),
        pytest.param(2, call("DIV", "f32 f32 f32", shapes=BROADCAST), id="div-broadcast-5d"),
        pytest.param(1, call("DIV", "f32 f32 f32", shapes=FIVE), id="div-5d"),
        pytest.param(4, call("MAXIMUM", "i16 i16 i16"), id="maximum-int16"),
        pytest.param(3, call("MINIMUM", "f32 f32 f32", shapes=BROADCAST), id="minimum-broadcast-5d"),
        pytest.param(3, call("ABS", "i16 i16", t0=I16), id="abs-int16"),
        pytest.param(3, call("AVERAGE_POOL_2D", "i16 i16"), id="pool-int16"),
        pytest.param(5, call("GATHER", "f32 i32 f32", options=GatherOptions(batch_dims=1)), id="gather-batches"),
        pytest.param(4, call("TRANSPOSE", "i8 i32 i8", shapes="1x1x1x2x2 5 1x1x1x2x2"), id="transpose-5d"),
        pytest.param(6, call("TRANSPOSE", "f32 i32 f32", shapes="1x1x1x1x1x1 6 1x1x1x1x1x1"), id="transpose-6d"),
        pytest.param(2, call("PAD", "i8 i32 i8"), id="pad-int8"),
        pytest.param(4, call("PADV2", "i8 i32 i8 i8", shapes="1x1x1x1x1 5x2 1 1x1x1x1x1"), id="pad-5d"),
        pytest.param(4, call("SLICE", "i16 i32 i32 i16"), id="slice-int16"),
        pytest.param(
            6,
            call("STRIDED_SLICE", "f32 i32 i32 i32 f32", options=StridedSliceOptions(new_axis_mask=1)),
            id="strided-slice-new-axis",
        ),
        pytest.param(
            3,
            call("RESIZE_BILINEAR", "i8 i32 i8", options=ResizeBilinearOptions(half_pixel_centers=True)),
            id="resize-half-pixel",
        ),
        pytest.param(
            3,
            call("RESIZE_NEAREST_NEIGHBOR", "i8 i32 i8", options=ResizeNearestNeighborOptions(align_corners=True)),
            id="nearest-align-corners",
        ),
        pytest.param(4, call("SPLIT", "i32 i16 i16"), id="split-by-its-second-operand"),
        pytest.param(1, call("QUANTIZE", "f32 i8"), id="quantize-int8"),
        pytest.param(2, call("QUANTIZE", "f32 i16"), id="quantize-int16"),
        pytest.param(2, call("DEQUANTIZE", "i8 f32", t0=I8), id="dequantize-int8"),
        pytest.param(5, call("DEQUANTIZE", "i8 f32", shapes="4x4 4x4", t0=PER_AXIS), id="dequantize-per-axis"),
        pytest.param(3, call("DEQUANTIZE", "f16 f32"), id="dequantize-float16"),
        pytest.param(6, call("DEQUANTIZE", "i4 f32"), id="dequantize-int4"),
        pytest.param(5, call("CAST", "f16 f32"), id="cast-float16"),
        pytest.param(3, call("CAST", "i8 i32"), id="cast-int8"),
        pytest.param(2, call("UNIDIRECTIONAL_SEQUENCE_LSTM", "f32 f32 i8 f32"), id="lstm-hybrid"),
        pytest.param(
            3,
            call("UNIDIRECTIONAL_SEQUENCE_LSTM", "f32 f32 i8 f32", options=LSTM(asymmetric_quantize_inputs=True)),
            id="lstm-hybrid-asymmetric",
        ),
        pytest.param(1, call("EMBEDDING_LOOKUP", "i32 f32 f32"), id="embedding-float"),
        pytest.param(
            4, call("EMBEDDING_LOOKUP", "i32 i8 f32", shapes="2 4x4 2x4", t1=PER_AXIS), id="embedding-per-axis"
        ),
        pytest.param(3, call("RELU", "i16 i16"), id="relu-int16"),
        pytest.param(2, call("GELU", "u8 u8", options=GeluOptions()), id="gelu-uint8"),
        pytest.param(1, call("RESHAPE", "i8 i32 i8"), id="reshape"),
    ],
)
def test_operator_version_is_that_of_its_kernel(version: int, of: Program) -> None:
    """What the kernel needs follows from types, shapes and options."""
    code = parsed(write_tflite(of)).OperatorCodes(0)

    assert version == code.Version()


def test_operator_code_is_written_once_for_each_version() -> None:
    """Two ADDs of floats share a code; one of int8 has its own."""
    tensors = [Tensor(name, (2,)) for name in "abc"] + [Tensor(name, (2,), "i8", I8) for name in "de"]
    adds = [
        Operator("ADD", operands, (result,), AddOptions())
        for operands, result in [(("a", "a"), "b"), (("b", "b"), "c"), (("d", "d"), "e")]
    ]
    model = parsed(write_tflite(program(tensors, adds)))

    assert [model.OperatorCodes(index).Version() for index in range(model.OperatorCodesLength())] == [1, 2]
    assert [model.Subgraphs(0).Operators(index).OpcodeIndex() for index in range(3)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("kind", "new", "old"), [pytest.param("MUL", 18, 18, id="below-127"), pytest.param("GELU", 150, 127, id="above")]
)
def test_operator_code_has_both_fields(kind: str, new: int, old: int) -> None:
    """Readers of before 2020 see a placeholder where the number does not fit a byte."""
    code = parsed(write_tflite(call(kind, "f32 f32 f32" if kind == "MUL" else "f32 f32"))).OperatorCodes(0)

    assert (new, old) == (code.BuiltinCode(), code.DeprecatedBuiltinCode())


@pytest.mark.parametrize(
    ("version", "of"),
    [
        pytest.param("1.5.0", call("CONV_2D", "f32 f32 f32 f32"), id="float"),
        pytest.param("1.14.0", call("CONV_2D", "i8 i8 i32 i8"), id="int8"),
        pytest.param("2.11.0", call("CONV_2D", "i8 i4 i32 i8"), id="int4"),
        pytest.param("", program([Tensor("x", (1,))]), id="no-operator"),
    ],
)
def test_min_runtime_version_is_the_newest_that_an_operator_needs(version: str, of: Program) -> None:
    """Sixteen bytes: the release, then NUL."""
    assert version.encode().ljust(16, b"\0") == entries(write_tflite(of))["min_runtime_version"]


def test_min_runtime_version_compares_numbers() -> None:
    """2.3 is before 2.11."""
    tensors = [Tensor(name, (1, 2, 2, 4), dtype) for name, dtype in zip("xwy", ("i8", "i4", "i8"), strict=True)]
    tensors += [Tensor(name, (1, 2, 2, 4), "i16") for name in "pq"]
    operators = [
        Operator("MAX_POOL_2D", ("p",), ("q",), ROWS["MAX_POOL_2D"].options()),
        Operator("CONV_2D", ("x", "w", None), ("y",), Conv2DOptions()),
    ]

    assert entries(write_tflite(program(tensors, operators)))["min_runtime_version"].rstrip(b"\0") == b"2.11.0"


def test_metadata_is_kept_beside_the_version_of_the_writer() -> None:
    """Entries of the Program stay as they are, all but the runtime's version."""
    metadata = {"labels": b"cat\ndog", "min_runtime_version": b"9.9.9", "empty": b""}
    data = write_tflite(
        program([Tensor("x", (1,)), Tensor("y", (1,))], [Operator("RELU", ("x",), ("y",))], metadata=metadata)
    )
    found = {name: text for name, text in entries(data).items() if name != "empty"}

    assert {
        "labels": b"cat\ndog",
        "bitwright": bitwright.__version__.encode(),
        "min_runtime_version": b"1.5.0".ljust(16, b"\0"),
    } == found


def test_description_says_who_wrote_it() -> None:
    """Unless the Program has one."""
    assert parsed(write_tflite(program([Tensor("x", (1,))]))).Description() == b"written by bitwright"
    assert parsed(write_tflite(program([Tensor("x", (1,))], description="mine"))).Description() == b"mine"


def test_constants_lie_at_multiples_of_sixteen() -> None:
    """Kernels load them so; the shortest come with the longest names between them."""
    tensors = [Tensor("n" * index, (index,), "u8", data=np.arange(index, dtype=np.uint8)) for index in range(1, 40)]
    data = write_tflite(program(tensors, metadata={"odd": b"12345"}))
    model, base = parsed(data), np.frombuffer(data, np.uint8).ctypes.data
    starts = [
        model.Buffers(index).DataAsNumpy().ctypes.data - base
        for index in range(model.BuffersLength())
        if model.Buffers(index).DataLength()
    ]

    assert len(starts) == 39 + 3
    assert {0} == {start % 16 for start in starts}
    assert sorted(starts) == starts  # in the order of the tensors


def test_equal_constants_are_written_once() -> None:
    """Whatever their names, shapes and types: the bytes decide."""
    zeros = [
        Tensor("a", (256,), data=np.zeros(256, np.float32)),
        Tensor("b", (16, 16), "i32", data=np.zeros((16, 16), np.int32)),
        Tensor("c", (256,), data=np.ones(256, np.float32)),
    ]
    graph = parsed(write_tflite(program(zeros))).Subgraphs(0)

    a, b, c = (graph.Tensors(index).Buffer() for index in range(3))
    assert a == b != c
    assert 0 not in (a, c)


def test_int4_is_packed_low_nibble_first() -> None:
    """Seven values take four bytes."""
    values = np.int8([1, -1, 7, -7, 0, 2, 3])
    model = parsed(write_tflite(program([Tensor("w", (7,), "i4", QuantParams(0.5, 0, "i4"), values)])))
    tensor = model.Subgraphs(0).Tensors(0)

    assert (tensor.Type(), tensor.ShapeAsNumpy().tolist()) == (17, [7])
    assert model.Buffers(tensor.Buffer()).DataAsNumpy().tolist() == [0xF1, 0x97, 0x20, 0x03]


def test_parameters_per_axis_are_written() -> None:
    """Scales, int64 zero_points, the dimension."""
    qparams = QuantParams([0.5, 0.25], [1, -1], "i8", 3)
    tensors = [Tensor("w", (1, 1, 1, 2), "i8", qparams), Tensor("y", (1,))]
    written = parsed(write_tflite(program(tensors))).Subgraphs(0).Tensors(0).Quantization()

    assert written.ScaleAsNumpy().tolist() == [0.5, 0.25]
    assert written.ZeroPointAsNumpy().tolist() == [1, -1]
    assert np.int64 == written.ZeroPointAsNumpy().dtype
    assert written.QuantizedDimension() == 3


def test_tensor_fields_are_written() -> None:
    """A scalar says that it has a rank; state that it is; a free dimension is -1; results have buffer 0."""
    tensors = [
        Tensor("scalar", (), "i32", data=np.array(7, np.int32)),
        Tensor("state", (1, 4), variable=True),
        Tensor("free", (1, 4), shape_signature=(-1, 4)),
    ]
    graph = parsed(write_tflite(program(tensors))).Subgraphs(0)
    scalar, state, free = (graph.Tensors(index) for index in range(3))

    assert (scalar.ShapeLength(), scalar.HasRank(), scalar.IsVariable()) == (0, True, False)
    assert (state.IsVariable(), state.Buffer()) == (True, 0)
    assert (free.ShapeAsNumpy().tolist(), free.ShapeSignatureAsNumpy().tolist(), free.Buffer()) == ([1, 4], [-1, 4], 0)
    assert scalar.Quantization() is None


def test_left_out_operand_is_minus_one() -> None:
    """As the schema has it."""
    operator = parsed(write_tflite(call("FULLY_CONNECTED", "f32 f32 - f32"))).Subgraphs(0).Operators(0)

    assert operator.InputsAsNumpy().tolist() == [0, 1, -1]


def test_operator_without_options_has_no_union() -> None:
    """Its kernel asks for none."""
    operator = parsed(write_tflite(call("RELU", "f32 f32"))).Subgraphs(0).Operators(0)

    assert operator.BuiltinOptionsType() == 0
    assert operator.BuiltinOptions() is None


def test_signature_names_the_ports() -> None:
    """Its names beside the tensors' own."""
    tensors = {name: Tensor(name, (2,)) for name in ("x", "y")}
    of = Program(
        tensors, (Operator("RELU", ("x",), ("y",)),), (Port("image", "x"),), (Port("scores", "y"),), signature="serve"
    )
    signature = parsed(write_tflite(of)).SignatureDefs(0)

    assert (signature.SignatureKey(), signature.SubgraphIndex()) == (b"serve", 0)
    assert (signature.Inputs(0).Name(), signature.Inputs(0).TensorIndex()) == (b"image", 0)
    assert (signature.Outputs(0).Name(), signature.Outputs(0).TensorIndex()) == (b"scores", 1)


def test_100_mb_are_written_with_little_memory() -> None:
    """Besides the file itself, once its size: what it is built in."""
    weights = [Tensor(f"w{index}", (1 << 20, 5), data=np.full((1 << 20, 5), index, np.float32)) for index in range(5)]
    of = program(weights)
    tracemalloc.start()
    start = time.perf_counter()
    size = len(write_tflite(of))
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size > 100e6
    assert peak < 2.05 * size
    assert seconds < 5


@pytest.mark.parametrize(
    ("of", "kind", "what"),
    [
        pytest.param(
            Program(
                {},
                tuple(Operator(kind, (), ()) for kind in ("MADE_UP", "OTHER", "MADE_UP")),
                (),
                (),
            ),
            UnsupportedOpError,
            r"operators that are not written: MADE_UP \(2\), OTHER \(1\)",
            id="kinds",
        ),
        pytest.param(
            Program({"x": Tensor("x", (1,))}, (), (Port("image", "x"),), ()),
            ModelError,
            "port 'image' stands for tensor 'x', and the model has no signature",
            id="port-without-signature",
        ),
        pytest.param(
            program([Tensor("w", (4,), "i8", QuantParams([1.0, 2.0], 0, "i8", None, (2,)))]),
            ModelError,
            "tensor 'w' has parameters per block",
            id="blocks",
        ),
        pytest.param(
            program([Tensor("s", (1,), variable=True, data=np.float32([1]))]),
            ModelError,
            "state 's' starts with a value",
            id="state-with-a-value",
        ),
    ],
)
def test_what_the_format_cannot_say_is_refused(of: Program, kind: type[BitwrightError], what: str) -> None:
    """Before anything is built."""
    with pytest.raises(kind, match=what) as caught:
        write_tflite(of)

    assert caught.value.next


def test_more_than_two_gib_are_refused() -> None:
    """Offsets reach no further."""
    half = np.zeros(1 << 30, np.uint8)
    of = program([Tensor("a", half.shape, "u8", data=half), Tensor("b", (half.size - 1,), "u8", data=half[1:])])

    with pytest.raises(OutputError, match=r"takes 2.0 GiB, a .tflite file holds 2"):
        write_tflite(of)


def test_compact_file_shares_equal_vectors():
    """The zero_points of a hundred channels are stored once, and the file means the same."""
    qparams = QuantParams(np.full(100, 0.5, np.float32), 0, "i8", 0)
    weights = {n: Tensor(n, (100, 1), "i8", qparams, np.ones((100, 1), np.int8)) for n in ("a", "b")}
    program = Program(weights, (), (), tuple(Port(n, n) for n in weights))

    plain, compact = write_tflite(program), write_tflite(program, compact=True)

    assert len(plain) - len(compact) >= 12 * 100
    assert to_text(read_tflite(plain)) == to_text(read_tflite(compact))


def test_recorded_ranges_are_kept():
    """The `min` and `max` that a converter left beside the parameters."""
    ends = (np.float32([-1.5]), np.float32([2.5]))
    program = Program({"x": Tensor("x", (1,), recorded=ends)}, (), (Port("x", "x"),), (Port("x", "x"),))

    read = read_tflite(write_tflite(program)).tensors["x"].recorded

    assert read is not None
    assert [end.tolist() for end in read] == [[-1.5], [2.5]]
