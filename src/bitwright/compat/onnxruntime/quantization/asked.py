"""What the arguments ask for, as a Recipe: types of integers, granularity, and which nodes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bitwright.compat.onnxruntime.quantization.options import Options, warn
from bitwright.compat.onnxruntime.quantization.quant_utils import QuantFormat, QuantType, member_of
from bitwright.compat.several import several
from bitwright.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from bitwright.quantization.recipe import Recipe

_ACTIVATIONS = {QuantType.QInt8: "i8", QuantType.QUInt8: "u8", QuantType.QInt16: "i16"}
_WEIGHTS = {QuantType.QInt8: "i8", QuantType.QUInt8: "u8", QuantType.QInt4: "i4"}
#: What quantize_dynamic quantizes unless told. A Gemm is one of its MatMuls: it rewrites them.
DYNAMIC_TYPES = ("Conv", "MatMul", "LSTM", "Gather")


def static_recipe(
    activation_type: Any,
    weight_type: Any,
    quant_format: Any,
    *,
    per_channel: bool,
    reduce_range: bool,
    options: Options,
    scope: str,
) -> Recipe:
    """The recipe of a static quantization.

    Raises:
        UsageError: types or a format that are not written.
    """
    if member_of(QuantFormat, quant_format, "quant_format") is QuantFormat.QOperator:
        raise UsageError(
            "QuantFormat.QOperator is not written",
            where="quant_format",
            next="take QuantFormat.QDQ: ONNX Runtime makes the same kernels of it when it loads the file",
        )
    activations, weights = _storage(_ACTIVATIONS, activation_type, "activation_type"), _weights(weight_type)
    if activations == "i8" and weights == "u8":
        raise UsageError(
            "ONNX Runtime has no kernels for QInt8 activations with QUInt8 weights",
            where="weight_type",
            next="take QuantType.QInt8 weights",
        )
    symmetric = options.weight_symmetric
    if weights == "i4":
        warn("QInt4 weights are held in 8 bits: ONNX Runtime's integer kernels take no others")
    return _recipe(
        scope,
        compute="integer",
        weight_storage=weights,
        weight_granularity="per-channel" if per_channel else "per-tensor",
        weight_symmetric=weights != "u8" if symmetric is None else bool(symmetric),
        weight_bits=7 if reduce_range else 8,
        activation_storage=activations,
        activation_symmetric=options.activation_symmetric,
    )


def dynamic_recipe(weight_type: Any, *, per_channel: bool, reduce_range: bool, scope: str) -> Recipe:
    """The recipe of a dynamic quantization.

    Raises:
        UsageError: a type that is not written.
    """
    weights = _weights(weight_type)
    if weights == "i4":
        raise UsageError(
            "weight_type QInt4 is not offered with dynamic kernels",
            where="weight_type",
            next="take QuantType.QInt8, or `bitwright quantize --mode weight-only --weight-bits 4`",
        )
    if weights == "u8":
        warn("QUInt8 weights are stored as QInt8, with zero_point 0: the file is as small and the kernels are the same")
    return _recipe(
        scope,
        compute="dynamic",
        weight_storage="i8",
        weight_granularity="per-channel" if per_channel else "per-tensor",
        weight_bits=7 if reduce_range else 8,
    )


def scope_of(
    graph: ir.Graph,
    op_types: Collection[str] | None,
    nodes: Collection[str] | None,
    exclude: Collection[str] | None,
    options: Options,
) -> str:
    """A regular expression of the names of the nodes that are quantized.

    Args:
        graph: as the file has it, every node named.
        op_types: operators to quantize, all of them by default.
        nodes: names to quantize, all of them by default.
        exclude: names that stay float.
        options: what extra_options ask for.
    """
    names = {str(node.name) for node in graph}
    kinds, included, excluded = several(op_types), several(nodes), several(exclude)
    for argument, given in (("nodes_to_quantize", included), ("nodes_to_exclude", excluded)):
        if missing := sorted(set(given) - names):
            warn(f"{argument} names no nodes of the model: {', '.join(missing)}")
    wanted = [
        str(node.name)
        for node in graph
        if (not kinds or node.op_type in kinds)
        and (not included or node.name in included)
        and node.name not in excluded
        and not (options.constant_products_only and _is_computed_product(node))
    ]
    if not wanted:
        warn(
            "nothing is quantized: no node of the model is left by op_types_to_quantize"
            f" ({', '.join(kinds) or 'all'}), nodes_to_quantize and nodes_to_exclude"
        )
    if len(wanted) == len(names):
        return ".*"
    return rf"^(?:{'|'.join(map(re.escape, wanted))})\Z" if wanted else r"(?!)"


def _is_computed_product(node: ir.Node) -> bool:
    from bitwright.graph.constants import constant_of

    return node.op_type == "MatMul" and constant_of(node.inputs[1]) is None


def _storage(storages: dict[QuantType, str], value: Any, argument: str) -> str:
    kind = member_of(QuantType, value, argument)
    if kind not in storages:
        raise UsageError(
            f"{argument} QuantType.{kind.name} is not written",
            where=argument,
            next=f"one of {', '.join(f'QuantType.{one.name}' for one in storages)}",
        )
    return storages[kind]


def _weights(value: Any) -> str:
    return _storage(_WEIGHTS, value, "weight_type")


def _recipe(scope: str, **how: Any) -> Recipe:
    from bitwright.quantization.plan import Compute
    from bitwright.quantization.recipe import Entry, How, Recipe

    return Recipe((Entry(scope, "*", How(**how | {"compute": Compute(how["compute"])})),))
