"""Each way a .tflite file can be broken, or hold what is not read, gives an error of its own: what, where, next."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import ModelError, UnsupportedOpError
from bitwright.formats.tflite.read import read_tflite

_RAW = runpy.run_path(str(Path(__file__).parents[1] / "formats" / "tflite" / "raw_file.py"))
build, model, one_relu, table = (_RAW[name] for name in ("build", "model", "one_relu", "table"))

RELU = ["RELU"]
WHOLE = build(model(one_relu(), OperatorCodes=RELU))


def constant(contents: Any, **tensor: Any) -> bytes:
    """The sum y = x + w, where the tensor w has buffer 1 with these contents."""
    tensors = [
        table("Tensor", Name="x", Shape=[2]),
        table("Tensor", **{"Name": "w", "Shape": [2], "Buffer": 1} | tensor),
        table("Tensor", Name="y", Shape=[2]),
    ]
    operators = [table("Operator", Inputs=[0, 1], Outputs=[2])]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[2], Operators=operators)
    return build(model(graph, OperatorCodes=["ADD"], Buffers=[contents]))


def quantized(**fields: Any) -> bytes:
    """The same, w being i8[2] with these QuantizationParameters."""
    return constant(np.uint8([1, 2]), Type=9, Quantization=table("QuantizationParameters", **fields))


def refused(data: bytes, kind: type[Exception] = ModelError) -> Any:
    """The error that a file is refused with."""
    with pytest.raises(kind) as caught:
        read_tflite(data, where="m.tflite")
    assert caught.value.where == "m.tflite"  # type: ignore[attr-defined]
    assert caught.value.next  # type: ignore[attr-defined]
    return caught.value


def test_whole_file_is_read() -> None:
    """What the others break is whole."""
    assert [operator.kind for operator in read_tflite(WHOLE).operators] == ["RELU"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\0\0\0", "not a .tflite file", id="three-bytes"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(100), "no TFL3 at byte 4", id="png"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", id="lfs"),
        pytest.param(build(model(one_relu(), Version=2)), "schema version 2", id="version"),
        pytest.param(WHOLE[:8], "offsets that lead nowhere", id="identifier-only"),
        pytest.param(WHOLE[: len(WHOLE) // 2], "not a whole .tflite file", id="truncated"),
        pytest.param(build(table("Model", Version=3)), "no subgraph", id="no-subgraph"),
    ],
)
def test_file_that_is_no_model_is_refused(data: bytes, what: str) -> None:
    """What the file is instead is said."""
    assert what in refused(data).what


def test_custom_and_unknown_operators_are_all_named_at_once() -> None:
    """With how often each is there, those of the schema and those outside it."""
    codes = [
        table("OperatorCode", BuiltinCode=32, DeprecatedBuiltinCode=32, CustomCode="TFLite_Detection_PostProcess"),
        table("OperatorCode", BuiltinCode=136, DeprecatedBuiltinCode=127),
        table("OperatorCode", BuiltinCode=999, DeprecatedBuiltinCode=127),
        *(table("OperatorCode", DeprecatedBuiltinCode=number) for number in (19, 30)),
    ]
    tensors = [table("Tensor", Name=f"t{index}", Shape=[2]) for index in range(7)]
    operators = [
        table("Operator", OpcodeIndex=code, Inputs=[index], Outputs=[index + 1])
        for index, code in enumerate([0, 1, 1, 2, 3, 4])
    ]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[6], Operators=operators)

    error = refused(build(model(graph, OperatorCodes=codes)), UnsupportedOpError)

    assert error.what == (
        "operators that are not read: HASHTABLE (2), SKIP_GRAM (1), builtin 999 (1), "
        "custom TFLite_Detection_PostProcess (1)"
    )


def test_subgraphs_that_an_operator_runs_are_refused() -> None:
    """How many there are, and what runs them."""
    data = build(model(one_relu(), one_relu(), one_relu(), OperatorCodes=["WHILE"]))

    assert refused(data).what == "the model has 3 subgraphs, which WHILE (1) runs; one is read"


def test_signatures_of_several_subgraphs_are_refused() -> None:
    """Their keys are listed."""
    signatures = [
        table("SignatureDef", SignatureKey=key, SubgraphIndex=number) for number, key in enumerate(["train", "infer"])
    ]

    error = refused(build(model(one_relu(), one_relu(), OperatorCodes=RELU, SignatureDefs=signatures)))

    assert error.what == "the model has 2 signatures with a subgraph each: 'train', 'infer'"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(build(model(one_relu(Type=5), OperatorCodes=RELU)), "not held: 'x' STRING", id="string"),
        pytest.param(build(model(one_relu(Type=8), OperatorCodes=RELU)), "not held: 'x' COMPLEX64", id="complex"),
        pytest.param(build(model(one_relu(Type=13), OperatorCodes=RELU)), "not held: 'x' RESOURCE", id="resource"),
        pytest.param(build(model(one_relu(Type=14), OperatorCodes=RELU)), "not held: 'x' VARIANT", id="variant"),
        pytest.param(build(model(one_relu(Type=18), OperatorCodes=RELU)), "not held: 'x' BFLOAT16", id="bfloat16"),
        pytest.param(build(model(one_relu(Type=77), OperatorCodes=RELU)), "not held: 'x' type 77", id="number"),
        pytest.param(
            build(model(one_relu(Shape=[-1, 2]), OperatorCodes=RELU)),
            "tensor 'x' has the unknown shape [-1, 2]",
            id="unknown-shape",
        ),
        pytest.param(
            build(model(one_relu(Shape=[1 << 30] * 4), OperatorCodes=RELU)), "more than any device", id="huge-shape"
        ),
        pytest.param(
            build(model(one_relu(Shape=[1] * 63), OperatorCodes=RELU)), "tensor 'x' has 63 dimensions", id="rank"
        ),
        pytest.param(
            constant(np.zeros(8, np.uint8), Sparsity=table("SparsityParameters")),
            "tensor 'w' is sparse, which is not read",
            id="sparse",
        ),
        pytest.param(
            constant(np.zeros(7, np.uint8)), "tensor 'w' f32[2] takes 8 bytes, its buffer holds 7", id="short-constant"
        ),
        pytest.param(
            constant(np.zeros(8, np.uint8), Buffer=9), "2 buffers, where one of them needs number 9", id="no-buffer"
        ),
        pytest.param(
            constant(np.zeros(8, np.uint8), IsVariable=True), "tensor 'w' is state that starts with", id="state"
        ),
        pytest.param(constant(table("Buffer", Offset=1 << 40, Size=8)), "a buffer at byte 1099511627776", id="outside"),
        pytest.param(
            quantized(DetailsType=1, Details=table("CustomQuantization")),
            "tensor 'w' has custom quantization, which is not read",
            id="custom-quantization",
        ),
        pytest.param(
            quantized(Scale=np.float32([0.0]), ZeroPoint=np.int64([0])),
            "tensor 'w' scale must be positive and finite",
            id="scale-0",
        ),
        pytest.param(
            quantized(Scale=np.float32([np.nan]), ZeroPoint=np.int64([0])), "tensor 'w' scale must be", id="scale-nan"
        ),
        pytest.param(
            quantized(Scale=np.float32([1.0]), ZeroPoint=np.int64([1 << 40])),
            "tensor 'w' has a zero_point outside [-128, 127]",
            id="zero-point",
        ),
        pytest.param(
            quantized(Scale=np.float32([1.0, 2.0]), ZeroPoint=np.int64([0, 0, 0])),
            "tensor 'w' has 2 scales and 3 zero_points",
            id="zero-points",
        ),
        pytest.param(
            quantized(Scale=np.float32([1.0, 2.0, 3.0]), ZeroPoint=np.int64([0, 0, 0])),
            "tensor 'w' [2] has 3 scales along axis 0",
            id="scales",
        ),
        pytest.param(
            quantized(Scale=np.float32([1.0, 2.0]), ZeroPoint=np.int64([0, 0]), QuantizedDimension=1),
            "tensor 'w' [2] has 2 scales along axis 1",
            id="axis",
        ),
    ],
)
def test_tensor_that_is_not_held_is_refused_by_name(data: bytes, what: str) -> None:
    """The tensor, and what about it."""
    assert what in refused(data).what


def test_tensors_of_types_that_are_not_held_are_listed() -> None:
    """All of those that something names, the first ten by name."""
    tensors = [table("Tensor", Name=f"t{index}", Shape=[1], Type=5) for index in range(12)]
    graph = table("SubGraph", Tensors=tensors, Inputs=list(range(12)), Outputs=[0], Operators=[])

    assert refused(build(model(graph))).what.endswith("'t9' STRING and 2 more")


def operator(kind: str, *, types: int = 0, **fields: Any) -> bytes:
    """The graph y = kind(x, w), the operator having these fields, the tensors types of this number."""
    tensors = [table("Tensor", Name=name, Shape=[1, 4, 4, 1], Type=types) for name in "xwy"]
    call = table("Operator", **{"Inputs": [0, 1], "Outputs": [2]} | fields)
    graph = table("SubGraph", Tensors=tensors, Inputs=[0, 1], Outputs=[2], Operators=[call])
    return build(model(graph, OperatorCodes=[kind]))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(
            operator("FULLY_CONNECTED", BuiltinOptionsType=1, BuiltinOptions=table("Conv2DOptions")),
            "operator 0, FULLY_CONNECTED, has Conv2DOptions where FullyConnectedOptions belong",
            id="options-of-another",
        ),
        pytest.param(
            operator(
                "FULLY_CONNECTED", BuiltinOptionsType=8, BuiltinOptions=table("FullyConnectedOptions", WeightsFormat=1)
            ),
            "has WeightsFormat 1 in its FullyConnectedOptions, which is not read",
            id="shuffled-weights",
        ),
        pytest.param(
            operator("ADD", BuiltinOptionsType=11, BuiltinOptions=table("AddOptions", FusedActivationFunction=5)),
            "operator 0, ADD, has FusedActivationFunction 5, which is not read",
            id="sign-bit",
        ),
        pytest.param(
            operator("ARG_MAX", BuiltinOptionsType=40, BuiltinOptions=table("ArgMaxOptions", OutputType=5)),
            "operator 0, ARG_MAX, has OutputType 5, which is not read",
            id="type",
        ),
        pytest.param(
            operator("UNIDIRECTIONAL_SEQUENCE_LSTM", types=9, Intermediates=[0]),
            "operator 0, UNIDIRECTIONAL_SEQUENCE_LSTM, has integers between its steps, which are not read",
            id="intermediates",
        ),
        pytest.param(operator("ADD", Inputs=[0, 7]), "3 tensors, and names number 7", id="operand"),
        pytest.param(operator("ADD", Outputs=[-1]), "3 tensors, and names number -1", id="no-result"),
        pytest.param(operator("ADD", OpcodeIndex=4), "1 operator codes, and names number 4", id="code"),
    ],
)
def test_operator_that_is_not_read_is_named(data: bytes, what: str) -> None:
    """Its number, its kind and what about it."""
    assert what in refused(data).what


def test_names_in_the_signature_without_a_port_are_refused() -> None:
    """An output that only the signature knows would be lost."""
    entry = table("TensorMap", Name="hidden", TensorIndex=0)
    signature = table("SignatureDef", SignatureKey="s", Outputs=[entry])

    error = refused(build(model(one_relu(), OperatorCodes=RELU, SignatureDefs=[signature])))

    assert error.what == "the signature names 'hidden', which the subgraph's outputs are without"


def test_metadata_in_a_missing_buffer_is_refused() -> None:
    """Its buffer must be there."""
    entry = table("Metadata", Name="labels", Buffer=5)

    assert "metadata in number 5" in refused(build(model(one_relu(), OperatorCodes=RELU, Metadata=[entry]))).what


def test_vectors_that_share_their_bytes_run_out_of_account() -> None:
    """A file of 60 000 bytes in which 2 000 operators alias one vector of 5 000 operands is refused at once."""
    tensors = [table("Tensor", Name="x", Shape=[2])]
    operators = [table("Operator", Inputs=[0] * 5000, Outputs=[0])] + [table("Operator") for _ in range(2000)]
    graph = table("SubGraph", Tensors=tensors, Inputs=[0], Outputs=[0], Operators=operators)
    data = bytearray(build(model(graph, OperatorCodes=["PACK"])))
    _alias_operators(data)

    assert "vectors longer than the file" in refused(bytes(data)).what


def test_weights_that_share_their_bytes_run_out_of_account() -> None:
    """A file in which 300 buffers are the same 10 000 bytes, each to be searched for the lowest weight."""
    parameters = table("QuantizationParameters", Scale=np.float32([1.0]), ZeroPoint=np.int64([0]))
    tensors = [
        table("Tensor", Name=f"w{index}", Shape=[10_000], Type=9, Buffer=1 + index, Quantization=parameters)
        for index in range(300)
    ]
    operators = [table("Operator", Inputs=list(range(299)), Outputs=[299])]
    graph = table("SubGraph", Tensors=tensors, Inputs=[], Outputs=[299], Operators=operators)
    buffers = [table("Buffer", Offset=16, Size=10_000) for _ in tensors]
    data = build(model(graph, OperatorCodes=["PACK"], Buffers=buffers))

    assert "vectors longer than the file" in refused(data).what


def _alias_operators(data: bytearray) -> None:
    """Point every operator at the first one's table."""
    import tflite

    graph = tflite.Model.GetRootAs(data).Subgraphs(0)
    start = graph._tab.Vector(graph._tab.Offset(10))
    first = graph._tab.Indirect(start)
    for index in range(graph.OperatorsLength()):
        at = start + 4 * index
        data[at : at + 4] = ((first - at) % (1 << 32)).to_bytes(4, "little")
