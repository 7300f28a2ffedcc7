"""ONNX files, protos and onnx_ir models as graphs whose nodes are named, sorted and all connected."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from bitwright.errors import BitwrightError, ModelError, reason_of
from bitwright.importers.external import check_external
from bitwright.importers.proto_checks import check_proto
from bitwright.importers.structure import check_values, name_nodes, sort_nodes

EXPORT_AGAIN = "export or copy the model again"


def load_onnx(source: str | os.PathLike[str] | onnx.ModelProto | ir.Model) -> ir.Model:
    """A graph of the caller's own: nodes in execution order and named, functions inlined, names of values kept.

    Constants in external files stay there and are mapped into memory when read. A given proto or model is
    left as it was.

    Raises:
        ModelError: not a model, damaged, missing or foreign external data, a dangling name, a cycle.
    """
    where = None if isinstance(source, onnx.ModelProto | ir.Model) else os.fspath(source)
    try:
        if isinstance(source, ir.Model):
            model = source.clone()
        elif isinstance(source, onnx.ModelProto):
            proto = onnx.ModelProto()
            proto.CopyFrom(source)  # onnx_ir renames tensors in the proto it wraps
            model = _from_proto(proto, None)
        else:
            path = Path(source)
            model = _from_proto(_read_proto(path), path)
        _normalize(model)
    except BitwrightError as error:
        error.where = _joined(where, error.where)
        raise
    except Exception as error:  # onnx_ir and protobuf raise what they like for what a file can hold
        raise ModelError(f"the model is damaged: {reason_of(error)}", where=where, next=EXPORT_AGAIN) from error
    return model


def _read_proto(path: Path) -> onnx.ModelProto:
    if path.is_dir():
        raise ModelError("a folder is not an ONNX model", next="give the .onnx file in it")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError("the model file does not exist", next="check the path") from error
    except OSError as error:
        raise ModelError(f"the model file cannot be read: {error.strerror}", next="check its permissions") from error
    if not data:
        raise ModelError("the model file is empty", next=EXPORT_AGAIN)
    if data.startswith(b"version https://git-lfs"):
        raise ModelError("the file is a Git LFS pointer, not the model itself", next="fetch it with `git lfs pull`")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, or what its C code raises
        # A model starts with its first field, ir_version: tag 0x08.
        if data[0] == 0x08:
            raise ModelError("the model file is cut short or damaged", next=EXPORT_AGAIN) from error
        raise ModelError(
            "the file is not an ONNX model (not a protobuf)", next="give a .onnx or .tflite file, or a .pt2 program"
        ) from error
    return proto


def _from_proto(proto: onnx.ModelProto, path: Path | None) -> ir.Model:
    if not proto.HasField("graph"):
        raise ModelError("the file holds no graph, so it is not an ONNX model", next="give a .onnx file")
    if not proto.opset_import:
        raise ModelError("the model does not say which operator set it uses", next=EXPORT_AGAIN)
    check_proto(proto)
    model: ir.Model = ir.from_proto(proto)
    if path is not None:
        ir.external_data.set_base_dir(model.graph, path.resolve().parent)
    return model


def _normalize(model: ir.Model) -> None:
    imports = model.graph.opset_imports
    if "ai.onnx" in imports:  # the other spelling of the default domain, which onnx_ir gives to nodes as ""
        imports.setdefault("", imports.pop("ai.onnx"))
        imports.pop("ai.onnx", None)
    check_external(model)
    if model.functions:
        InlinePass()(model)
    check_values(model)
    sort_nodes(model)
    name_nodes(model)


def _joined(where: str | None, inner: str | None) -> str | None:
    return ", ".join(part for part in (where, inner) if part) or None
