"""What is read of files that others write, and that what is written is read again as it was."""

from __future__ import annotations

import mmap
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator
from bitwright.program.options import AddOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor

_RAW = runpy.run_path(str(Path(__file__).with_name("raw_file.py")))
build, model, one_relu, table = (_RAW[name] for name in ("build", "model", "one_relu", "table"))
_BENCH = runpy.run_path(str(Path(__file__).parents[3] / "bench" / "mutations.py"))
PROGRAMS: dict[str, Program] = _BENCH["small_programs"]()


def sums(*contents: Any, signatures: Any = (), names: str = "x w v y", **tensor: Any) -> bytes:
    """Y = (x + w) + v, with w and v in buffers 1 and 2; `tensor` says more of w."""
    x, w, v, y = names.split(" ")
    tensors = [
        table("Tensor", Name=x, Shape=[2]),
        table("Tensor", **{"Name": w, "Shape": [2], "Buffer": 1} | tensor),
        table("Tensor", Name=v, Shape=[2], Buffer=min(2, len(contents))),
        table("Tensor", Shape=[2]),
        table("Tensor", Name=y, Shape=[2]),
        table("Tensor", Name="nobody", Type=5),
    ]
    operators = [table("Operator", Inputs=[0, 1], Outputs=[3]), table("Operator", Inputs=[3, 2], Outputs=[4])]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[4], Operators=operators)
    more = {"SignatureDefs": list(signatures)} if signatures else {}
    return build(model(graph, OperatorCodes=["ADD"], Buffers=list(contents), **more))


ONES = np.float32([1, 1]).view(np.uint8)
TWOS = np.float32([2, 2]).view(np.uint8)


def weights(values: Any, number: int, **quantization: Any) -> Tensor:
    """A constant of [2] elements of a type of this number, read from a file with these QuantizationParameters."""
    parameters = table("QuantizationParameters", **quantization)
    graph = reshaped([2], parameters, Type=number, Buffer=1)
    return read_tflite(build(model(graph, OperatorCodes=["RESHAPE"], Buffers=[values.view(np.uint8)]))).tensors["w"]


def reshaped(shape: list[int], quantization: Any, **tensor: Any) -> Any:
    """A subgraph that reshapes w to [2]; `tensor` says more of w."""
    w = {"Name": "w", "Shape": shape, "Quantization": quantization} | tensor
    tensors = [
        table("Tensor", **w),
        table("Tensor", Name="y", Shape=[2], Type=w.get("Type", 0), Quantization=quantization),
    ]
    options = table("ReshapeOptions", NewShape=[2])
    operators = [table("Operator", Inputs=[0], Outputs=[1], BuiltinOptionsType=17, BuiltinOptions=options)]
    return table("SubGraph", Tensors=tensors, Inputs=[] if "Buffer" in w else [0], Outputs=[1], Operators=operators)


@pytest.mark.parametrize("name", PROGRAMS)
def test_written_program_is_read_as_it_was(name: str) -> None:
    """Tensors with shapes, types, parameters and constants; operators with options; ports; texts."""
    before = PROGRAMS[name]

    after = read_tflite(write_tflite(before))

    assert list(after.tensors) == list(before.tensors)
    for expected, tensor in zip(before.tensors.values(), after.tensors.values(), strict=True):
        assert replace(tensor, data=None).__dict__ == replace(expected, data=None).__dict__
        if expected.data is None:
            assert tensor.data is None
        else:
            assert tensor.data is not None
            np.testing.assert_array_equal(expected.data, tensor.data, strict=True)
    assert after.operators == before.operators
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert (after.name, after.signature) == (before.name, before.signature)
    assert after.description == (before.description or "written by bitwright")
    assert {key: after.metadata[key] for key in before.metadata} == dict(before.metadata)


def test_written_file_is_written_again_the_same() -> None:
    """Byte for byte: nothing is lost or piled up."""
    for program in PROGRAMS.values():
        data = write_tflite(program)
        assert write_tflite(read_tflite(data)) == data


def test_state_and_left_out_operands_survive() -> None:
    """A variable tensor, and an optional operand between two that are given."""
    tensors = {
        "x": Tensor("x", (1, 4)),
        "w": Tensor("w", (4, 4), data=np.eye(4, dtype=np.float32)),
        "s": Tensor("s", (1, 4), variable=True),
        "y": Tensor("y", (1, 4)),
        "z": Tensor("z", (1, 4)),
    }
    operators = (
        Operator("FULLY_CONNECTED", ("x", "w", None), ("y",), _options("FULLY_CONNECTED")),
        Operator("ADD", ("y", "s"), ("z",), AddOptions(fused_activation_function=Activation.RELU6)),
    )
    before = Program(tensors, operators, (Port("x", "x"),), (Port("z", "z"),))

    after = read_tflite(write_tflite(before))

    assert after.operators == before.operators
    assert after.tensors["s"].variable
    assert after.tensors["s"].data is None


def _options(kind: str) -> Any:
    from bitwright.formats.tflite.operators import ROWS

    return ROWS[kind].options()


def test_constants_are_views_of_the_file() -> None:
    """Nothing is copied, and nothing can be written to."""
    data = write_tflite(PROGRAMS["integers"])
    program = read_tflite(data)

    for name in ("w", "b", "dense"):
        constant = program.tensors[name].data
        assert constant is not None
        assert np.shares_memory(constant, np.frombuffer(data, np.uint8))
        assert not constant.flags.writeable


def test_memory_map_is_read(tmp_path: Path) -> None:
    """A file need not be in memory; its constants stay where they are."""
    path = tmp_path / "m.tflite"
    path.write_bytes(write_tflite(PROGRAMS["integers"]))
    with path.open("rb") as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    program = read_tflite(memoryview(mapped))

    np.testing.assert_array_equal(PROGRAMS["integers"].tensors["w"].data, program.tensors["w"].data)


def test_constants_at_odd_places_are_read() -> None:
    """Old writers align to four bytes, some to none."""
    data = sums(ONES, TWOS)
    program = read_tflite(memoryview(b"\0" + data)[1:])

    constant = program.tensors["w"].data
    assert constant is not None
    assert constant.tolist() == [1, 1]
    assert constant.flags.aligned


def test_buffers_after_the_flatbuffer_are_read() -> None:
    """Large models keep constants outside, at an offset from the beginning of the file."""
    outside = table("Buffer", Offset=1 << 12, Size=8)
    data = sums(outside, TWOS).ljust(1 << 12, b"\0") + ONES.tobytes()

    constant = read_tflite(data).tensors["w"].data
    assert constant is not None
    assert constant.tolist() == [1, 1]


def test_tensors_that_nothing_names_are_left_out() -> None:
    """Even those of types that are not held."""
    assert list(read_tflite(sums(ONES, TWOS)).tensors) == ["x", "w", "v", "tensor_3", "y"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param("a a a a", ["a", "a_2", "a_3", "tensor_3", "a_4"], id="four-times"),
        pytest.param("a a_2 a y", ["a", "a_2", "a_3", "tensor_3", "y"], id="taken"),
        pytest.param("x tensor_3 v y", ["x", "tensor_3", "v", "tensor_3_2", "y"], id="none"),
    ],
)
def test_names_are_made_unique(names: str, expected: list[str]) -> None:
    """The first keeps its name; who has none is called by its number."""
    program = read_tflite(sums(ONES, TWOS, names=names))

    assert list(program.tensors) == expected
    assert program.operators[0].inputs == (expected[0], expected[1])
    assert program.operators[1].inputs == (expected[3], expected[2])


def test_name_that_is_not_utf8_is_shown_in_hexadecimal() -> None:
    """LiteRT takes any bytes."""
    assert "\\xff!" in read_tflite(build(model(one_relu(Name=b"\xff!"), OperatorCodes=["RELU"]))).tensors


def test_equal_buffers_are_one_array() -> None:
    """Two tensors of one buffer share its bytes."""
    program = read_tflite(sums(ONES))

    left, right = program.tensors["w"].data, program.tensors["v"].data
    assert left is not None
    assert right is not None
    assert np.shares_memory(left, right)


def test_constant_without_elements_is_one() -> None:
    """The shape that a scalar is reshaped to has an empty buffer."""
    tensors = [
        table("Tensor", Name="x", Shape=[1]),
        table("Tensor", Name="shape", Type=2, Shape=[0]),
        table("Tensor", Name="y", HasRank=True),
    ]
    operators = [table("Operator", Inputs=[0, 1], Outputs=[2])]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[2], Operators=operators)

    shape = read_tflite(build(model(graph, OperatorCodes=["RESHAPE"]))).tensors["shape"].data

    assert shape is not None
    assert (shape.shape, shape.dtype) == ((0,), np.int32)


def test_operator_code_of_old_files_is_read() -> None:
    """Before 2020 there was one field."""
    code = table("OperatorCode", DeprecatedBuiltinCode=19, Version=1)

    assert read_tflite(build(model(one_relu(), OperatorCodes=[code]))).operators[0].kind == "RELU"


def test_free_dimensions_are_kept() -> None:
    """A signature without -1 says nothing new."""
    free = read_tflite(build(model(one_relu(ShapeSignature=[-1]), OperatorCodes=["RELU"])))
    fixed = read_tflite(build(model(one_relu(ShapeSignature=[2]), OperatorCodes=["RELU"])))

    assert free.tensors["x"].shape_signature == (-1,)
    assert fixed.tensors["x"].shape_signature is None


def test_scale_for_each_element_of_an_axis_is_read() -> None:
    """As many scales as the axis has elements."""
    qparams = weights(np.int8([1, -2]), 9, Scale=np.float32([0.5, 0.25]), ZeroPoint=np.int64([0, 0])).qparams

    assert qparams == QuantParams([0.5, 0.25], 0, "i8", 0, narrow_range=True)


@pytest.mark.parametrize(
    ("narrow", "values", "zero_point"),
    [
        pytest.param(True, [-127, 5], 0, id="without-the-lowest"),
        pytest.param(False, [-128, 5], 0, id="with-the-lowest"),
        pytest.param(False, [-127, 5], 1, id="asymmetric"),
        pytest.param(True, [3, 5], 0, id="nothing-below-zero"),
    ],
)
def test_narrow_range_is_inferred_from_weights(narrow: bool, values: list[int], zero_point: int) -> None:
    """Files do not say it; symmetric weights without their lowest value were made so."""
    qparams = weights(np.int8(values), 9, Scale=np.float32([0.5]), ZeroPoint=np.int64([zero_point])).qparams

    assert qparams == QuantParams(0.5, zero_point, "i8", narrow_range=narrow)


def test_one_scale_has_an_axis_only_where_the_file_names_one() -> None:
    """Dimension 0 is what files name when they mean none; another one of one element is an axis."""

    def axis(dimension: int, shape: list[int]) -> int | None:
        quantization = table(
            "QuantizationParameters", Scale=np.float32([1]), ZeroPoint=np.int64([0]), QuantizedDimension=dimension
        )
        data = build(model(reshaped(shape, quantization, Type=9), OperatorCodes=["RESHAPE"]))
        qparams = read_tflite(data).tensors["w"].qparams
        assert qparams is not None
        return qparams.axis

    assert axis(0, [1, 2]) is None
    assert axis(1, [2, 1]) == 1
    assert axis(1, [1, 2]) is None
    assert axis(7, [1, 2]) is None


def test_parameters_of_floats_are_left_out() -> None:
    """Converters leave tables at tensors that are not quantized."""
    assert weights(np.float32([1, 2]), 0, Scale=np.float32([0.5]), ZeroPoint=np.int64([0])).qparams is None
    assert weights(np.float32([1, 2]), 0).qparams is None


def test_scale_without_zero_point_has_zero() -> None:
    """As for symmetric weights."""
    assert weights(np.int8([1, 2]), 9, Scale=np.float32([0.5])).qparams == QuantParams(0.5, narrow_range=True)


def _signature(key: str, *, subgraph: int = 0, **ports: int) -> Any:
    inputs = [table("TensorMap", Name="image", TensorIndex=0)]
    outputs = [table("TensorMap", Name=name, TensorIndex=index) for name, index in ports.items()]
    return table("SignatureDef", SignatureKey=key, SubgraphIndex=subgraph, Inputs=inputs, Outputs=outputs)


def test_signature_names_the_ports() -> None:
    """Callers' names; the tensors keep theirs."""
    program = read_tflite(sums(ONES, TWOS, signatures=[_signature("serve", scores=4)]))

    assert program.signature == "serve"
    assert (program.inputs, program.outputs) == ((Port("image", "x"),), (Port("scores", "y"),))


def test_first_of_several_signatures_of_one_subgraph_is_taken() -> None:
    """They run the same."""
    program = read_tflite(sums(ONES, TWOS, signatures=[_signature("a", scores=4), _signature("b", classes=4)]))

    assert (program.signature, program.outputs[0].name) == ("a", "scores")


def test_ports_without_a_name_in_the_signature_have_the_tensors() -> None:
    """A signature may leave some out."""
    assert read_tflite(sums(ONES, TWOS, signatures=[_signature("a")])).outputs == (Port("y", "y"),)


def test_subgraphs_that_nothing_runs_are_left_out() -> None:
    """The signature's is read, or the first."""
    graphs = [one_relu(Name="first"), one_relu(Name="second")]

    first = read_tflite(build(model(*graphs, OperatorCodes=["RELU"])))
    second = read_tflite(
        build(model(*graphs, OperatorCodes=["RELU"], SignatureDefs=[_signature("s", subgraph=1, scores=1)]))
    )

    assert "first" in first.tensors
    assert "second" in second.tensors
