"""Writing: a Program -> the bytes of a .tflite file. `read` is its inverse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
import tflite

from bitwright import __version__
from bitwright.errors import ModelError, OutputError, UnsupportedOpError
from bitwright.formats.tflite.attributes import union_member
from bitwright.formats.tflite.buffers import Buffers, Vectors, bytes_of, offset_vector
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.schema import BUILTINS, IDENTIFIER, MOST_BYTES, RUNTIME_ENTRY, TENSOR_TYPES, VERSION
from bitwright.formats.tflite.write_attributes import write_options
from bitwright.program.definition import Call
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor

#: What a Program without a description says of itself.
DESCRIPTION = "written by bitwright"
#: Bytes of the `min_runtime_version` entry: text, then NUL.
_RUNTIME_BYTES = 16


def write_tflite(program: Program, *, compact: bool = False) -> bytes:
    """The file: schema version 3, constants at multiples of 16, equal constants once.

    Metadata gets `min_runtime_version` and, when it is not there, `bitwright`: the version of this package.

    Args:
        program: a verified one.
        compact: tensors share equal scales, zero_points and shapes, as no converter's files do: a tenth less in small
            networks of many channels.

    Raises:
        UnsupportedOpError: operators that the format has no name for, all of them.
        ModelError: what the format cannot say: parameters per block, state with a value, names of ports without a
            signature.
        OutputError: more than 2 GiB.
    """
    _check(program)
    versions = [_version(program, operator) for operator in program.operators]
    metadata = _metadata(program, versions)
    buffers = Buffers()
    numbers = {name: buffers.add(bytes_of(t)) for name, t in program.tensors.items() if t.data is not None}
    entries = {name: buffers.add(np.frombuffer(text, np.uint8)) for name, text in metadata.items()}
    new = buffers.share()
    size = buffers.nbytes + _structure_bytes(program)
    if size > MOST_BYTES:
        raise OutputError(
            f"the model takes {size / 2**30:.1f} GiB, a .tflite file holds 2",
            next="quantize it, or write .onnx, which keeps large constants beside the file",
        )
    builder = flatbuffers.Builder(size)
    contents = buffers.write(builder)
    vectors = Vectors(builder, share=compact)
    tensors = offset_vector(
        builder, [_tensor(builder, vectors, t, new[numbers.get(name, 0)]) for name, t in program.tensors.items()]
    )
    codes, operators = _operators(builder, program, versions)
    root = _model(
        builder,
        contents=contents,
        codes=codes,
        subgraph=_subgraph(builder, program, tensors, operators),
        metadata=offset_vector(builder, [_entry(builder, name, new[number]) for name, number in entries.items()]),
        signatures=_signatures(builder, program),
        description=builder.CreateString(program.description or DESCRIPTION),
    )
    builder.Finish(root, IDENTIFIER)
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _check(program: Program) -> None:
    unknown = Counter(operator.kind for operator in program.operators if operator.kind not in ROWS)
    if unknown:
        raise UnsupportedOpError(
            f"operators that are not written: {', '.join(f'{kind} ({n})' for kind, n in sorted(unknown.items()))}",
            next="lower the model again",
        )
    if program.signature is None:
        for port in (*program.inputs, *program.outputs):
            if port.name != port.tensor:
                raise ModelError(
                    f"port {port.name!r} stands for tensor {port.tensor!r}, and the model has no signature to say so",
                    next="give the Program a signature, or name the port as its tensor",
                )
    for tensor in program.tensors.values():
        if tensor.qparams is not None and tensor.qparams.block_shape is not None:
            raise ModelError(
                f"tensor {tensor.name!r} has parameters per block, which .tflite has no form for",
                next="quantize it per channel",
            )
        if tensor.variable and tensor.data is not None:
            raise ModelError(
                f"state {tensor.name!r} starts with a value, which .tflite has no form for", next="start it at zero"
            )


def _version(program: Program, operator: Operator) -> int:
    return ROWS[operator.kind].version(Call(operator, program.operands(operator), program.results(operator)))


def _metadata(program: Program, versions: list[int]) -> dict[str, bytes]:
    needed = [
        ROWS[operator.kind].runtime(version) for operator, version in zip(program.operators, versions, strict=True)
    ]
    text = ".".join(map(str, max(needed, default=())))
    kept = {name: value for name, value in program.metadata.items() if name != RUNTIME_ENTRY}
    return {RUNTIME_ENTRY: text.encode().ljust(_RUNTIME_BYTES, b"\0"), "bitwright": __version__.encode()} | kept


def _structure_bytes(program: Program) -> int:
    """More bytes than everything but the constants takes, so that the builder never has to grow."""
    tensors = sum(
        256
        + 4 * len(t.name)
        + 8 * len(t.shape)
        + (0 if t.qparams is None else 12 * t.qparams.scale.size)
        + (0 if t.recorded is None else 16 + 8 * t.recorded[0].size)
        for t in program.tensors.values()
    )
    operators = sum(256 + 4 * (len(o.inputs) + len(o.outputs)) for o in program.operators)
    ports = sum(64 + 4 * len(port.name) for port in (*program.inputs, *program.outputs))
    metadata = sum(64 + 4 * len(name) for name in program.metadata)
    return 4096 + tensors + operators + ports + metadata + 4 * len(program.name + program.description)


def _tensor(builder: flatbuffers.Builder, vectors: Vectors, tensor: Tensor, buffer: int) -> int:
    name = builder.CreateString(tensor.name)
    shape = vectors.add(np.asarray(tensor.shape, np.int32))
    signature = None if tensor.shape_signature is None else vectors.add(np.asarray(tensor.shape_signature, np.int32))
    quantization = _quantization(builder, vectors, tensor)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, TENSOR_TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    if quantization is not None:
        tflite.TensorAddQuantization(builder, quantization)
    tflite.TensorAddIsVariable(builder, tensor.variable)
    if signature is not None:
        tflite.TensorAddShapeSignature(builder, signature)
    tflite.TensorAddHasRank(builder, not tensor.shape)  # tells a scalar from a tensor of unknown rank
    return int(tflite.TensorEnd(builder))


def _quantization(builder: flatbuffers.Builder, vectors: Vectors, tensor: Tensor) -> int | None:
    qparams = tensor.qparams
    if qparams is None and tensor.recorded is None:
        return None
    ends = [] if tensor.recorded is None else [vectors.add(np.asarray(end, np.float32)) for end in tensor.recorded]
    if qparams is not None:
        scale = vectors.add(qparams.scale)
        zero_point = vectors.add(qparams.zero_point.astype(np.int64))
    tflite.QuantizationParametersStart(builder)
    if ends:
        tflite.QuantizationParametersAddMin(builder, ends[0])
        tflite.QuantizationParametersAddMax(builder, ends[1])
    if qparams is not None:
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(builder, qparams.axis or 0)
    return int(tflite.QuantizationParametersEnd(builder))


def _operators(builder: flatbuffers.Builder, program: Program, versions: list[int]) -> tuple[int, int]:
    """Offsets of the operator codes (one for each kind and version) and of the operators."""
    keys = [(operator.kind, version) for operator, version in zip(program.operators, versions, strict=True)]
    codes = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    index = {name: number for number, name in enumerate(program.tensors)}
    tables = [_operator(builder, o, codes[key], index) for o, key in zip(program.operators, keys, strict=True)]
    return offset_vector(builder, [_code(builder, *key) for key in codes]), offset_vector(builder, tables)


def _code(builder: flatbuffers.Builder, kind: str, version: int) -> int:
    number = BUILTINS[kind]
    placeholder = int(tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, placeholder))
    tflite.OperatorCodeAddVersion(builder, version)
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    return int(tflite.OperatorCodeEnd(builder))


def _operator(builder: flatbuffers.Builder, operator: Operator, code: int, index: Mapping[str, int]) -> int:
    inputs = _integers(builder, [-1 if name is None else index[name] for name in operator.inputs])
    outputs = _integers(builder, [index[name] for name in operator.outputs])
    options = None if type(operator.options) is Options else write_options(builder, operator.options)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, union_member(type(operator.options)))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _subgraph(builder: flatbuffers.Builder, program: Program, tensors: int, operators: int) -> int:
    index = {name: number for number, name in enumerate(program.tensors)}
    inputs = _integers(builder, [index[port.tensor] for port in program.inputs])
    outputs = _integers(builder, [index[port.tensor] for port in program.outputs])
    name = builder.CreateString(program.name)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    tflite.SubGraphAddName(builder, name)
    return int(tflite.SubGraphEnd(builder))


def _signatures(builder: flatbuffers.Builder, program: Program) -> int | None:
    if program.signature is None:
        return None
    index = {name: number for number, name in enumerate(program.tensors)}

    def ports(of: tuple[Port, ...]) -> int:
        return offset_vector(builder, [_port(builder, port.name, index[port.tensor]) for port in of])

    inputs, outputs = ports(program.inputs), ports(program.outputs)
    key = builder.CreateString(program.signature)
    tflite.SignatureDefStart(builder)
    tflite.SignatureDefAddInputs(builder, inputs)
    tflite.SignatureDefAddOutputs(builder, outputs)
    tflite.SignatureDefAddSignatureKey(builder, key)
    return offset_vector(builder, [tflite.SignatureDefEnd(builder)])


def _port(builder: flatbuffers.Builder, name: str, tensor: int) -> int:
    text = builder.CreateString(name)
    tflite.TensorMapStart(builder)
    tflite.TensorMapAddName(builder, text)
    tflite.TensorMapAddTensorIndex(builder, tensor)
    return int(tflite.TensorMapEnd(builder))


def _entry(builder: flatbuffers.Builder, name: str, buffer: int) -> int:
    text = builder.CreateString(name)
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, text)
    tflite.MetadataAddBuffer(builder, buffer)
    return int(tflite.MetadataEnd(builder))


def _model(
    builder: flatbuffers.Builder,
    *,
    contents: int,
    codes: int,
    subgraph: int,
    metadata: int,
    signatures: int | None,
    description: int,
) -> int:
    subgraphs = offset_vector(builder, [subgraph])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, VERSION)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddDescription(builder, description)
    tflite.ModelAddBuffers(builder, contents)
    tflite.ModelAddMetadata(builder, metadata)
    if signatures is not None:
        tflite.ModelAddSignatureDefs(builder, signatures)
    return int(tflite.ModelEnd(builder))


def _integers(builder: flatbuffers.Builder, values: Any) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))
