"""One entry of a recipe: what it asks for, or why that is not offered."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bitwright.compat.ai_edge_quantizer.operators import OPERATORS, Operator
from bitwright.errors import RecipeError

if TYPE_CHECKING:
    from bitwright.quantization.recipe import How

#: Any operator.
ANY = "*"
#: How weights' scales are chosen, by algorithm.
_METHODS = {"min_max_uniform_quantize": "minmax", "MSE": "mse"}
_FLOAT, _HALF = "no_quantize", "float_casting"
_GRANULARITIES = {"TENSORWISE": "per-tensor", "CHANNELWISE": "per-channel"}
_BLOCKS = "BLOCKWISE_"
_ACTIVATIONS = {("INT", 8): "i8", ("INT", 16): "i16", ("UINT", 8): "u8"}

_ENTRY_FIELDS = {"regex", "operation", "algorithm_key", "op_config"}
_CONFIG_FIELDS = {
    "activation_tensor_config",
    "weight_tensor_config",
    "compute_precision",
    "explicit_dequantize",
    "skip_checks",
    "min_weight_elements",
}
_TENSOR_FIELDS = {"num_bits", "symmetric", "granularity", "dtype", "block_size", "algorithm_params"}


@dataclass(frozen=True)
class Asked:
    """What an entry asks for.

    Args:
        regex, operation: which operators, by names and TFLite's kind.
        how: how they compute.
        smallest: weights of fewer elements stay as they are.
    """

    regex: str
    operation: str
    how: How
    smallest: int

    def holds_for(self, operator: Operator) -> bool:
        """Whether the operator matches; entries that quantize weights alone hold for what has weights."""
        if not re.search(self.regex, operator.scope):
            return False
        if self.operation not in (ANY, *operator.kinds):
            return False
        from bitwright.quantization.plan import Compute

        if self.how.compute in (Compute.DYNAMIC, Compute.WEIGHT_ONLY, Compute.FLOAT16) and not operator.elements:
            return False
        return not 0 < operator.elements < self.smallest


def understood(entry: Mapping[str, Any], where: str) -> Asked | None:
    """What an entry asks for; None where what it leaves float is float anyway.

    Raises:
        RecipeError: what cannot be expressed, by name.
    """
    from bitwright.quantization.plan import Compute
    from bitwright.quantization.recipe import How

    _check_fields(entry, _ENTRY_FIELDS, where)
    regex, operation = entry.get("regex", ".*"), _text(entry.get("operation", ANY))
    algorithm = _text(entry.get("algorithm_key", ""))
    where = f"{where}, regex {regex!r}, operation {operation}"
    try:
        re.compile(regex)
    except (re.error, TypeError) as error:
        raise RecipeError(
            f"{regex!r} is not a regular expression: {error}", where=where, next="escape special characters with a \\"
        ) from error
    if operation in ("INPUT", "OUTPUT"):
        if algorithm == _FLOAT:
            return None
        raise RecipeError(
            f"operation {operation} is not an operator",
            where=where,
            next=f"inputs and outputs are floats unless told: `--{operation.lower()}-type int8`",
        )
    if operation != ANY and not any(operation in kinds for kinds in OPERATORS.values()):
        raise RecipeError(f"operation {operation} has no form of its own here", where=where, next="leave the entry out")
    if algorithm == _FLOAT:
        return Asked(regex, operation, How(compute=Compute.FLOAT), 0)
    config = entry.get("op_config") or {}
    _check_fields(config, _CONFIG_FIELDS, where)
    if config.get("skip_checks"):
        warnings.warn(f"skip_checks has no meaning ({where}): what has no kernel stays float", stacklevel=2)
    how = _how(algorithm, config, where)
    return Asked(regex, operation, how, _whole(config.get("min_weight_elements", 0), "min_weight_elements", where))


def _how(algorithm: str, config: Mapping[str, Any], where: str) -> How:
    """How an entry asks nodes to compute: every field said, for an entry replaces what stands before it."""
    from bitwright.quantization.plan import Compute
    from bitwright.quantization.recipe import How

    weights = _tensor(config, "weight_tensor_config", where)
    activations = _tensor(config, "activation_tensor_config", where)
    if weights is None:
        raise RecipeError("an entry without weight_tensor_config is not offered", where=where, next="write it")
    precision, explicit = _text(config.get("compute_precision", "FLOAT")), bool(config.get("explicit_dequantize"))
    bits, kind = weights["num_bits"], weights["dtype"]
    if algorithm == _HALF:
        if (kind, bits, precision, activations) != ("FLOAT", 16, "FLOAT", None):
            raise RecipeError(
                f"{_HALF} is of 16-bit floats (got {kind} of {bits} bits)", where=where, next="use num_bits 16"
            )
        return How(compute=Compute.FLOAT16)
    if algorithm not in _METHODS:
        known = ", ".join((*_METHODS, _HALF, _FLOAT))
        raise RecipeError(f"algorithm {algorithm!r} is not offered", where=where, next=f"one of {known}")
    if activations is None:
        compute = _by_weights(precision, explicit, where)
    elif precision == "INTEGER" and not explicit:
        compute = Compute.INTEGER
    else:
        raise RecipeError(
            "integer activations are for integer kernels", where=where, next='"compute_precision": "INTEGER"'
        )
    widths = (8,) if compute is Compute.DYNAMIC else (8, 4)
    if kind != "INT" or bits not in widths:
        raise RecipeError(
            f"{compute} kernels have no weights of {kind} with {bits} bits",
            where=where,
            next=f"INT with {' or '.join(map(str, widths))} bits",
        )
    blocks = weights["granularity"].startswith(_BLOCKS)
    if blocks and compute is not Compute.WEIGHT_ONLY:
        raise RecipeError(
            f"{compute} kernels have no weights of granularity {weights['granularity']}",
            where=where,
            next="take CHANNELWISE",
        )
    return How(
        compute=compute,
        weight_storage=f"i{bits}",
        weight_granularity="per-block" if blocks else _granularity(weights, where),
        block_size=_whole(weights["granularity"][len(_BLOCKS) :], "granularity", where) if blocks else None,
        weight_symmetric=weights["symmetric"],
        weight_method=_METHODS[algorithm],
        activation_storage=None if activations is None else _activation_storage(activations, where),
        activation_symmetric=activations is not None and activations["symmetric"],
    )


def _by_weights(precision: str, explicit: bool, where: str) -> Any:
    """How nodes with float activations compute."""
    from bitwright.quantization.plan import Compute

    if (precision, explicit) == ("INTEGER", False):
        return Compute.DYNAMIC
    if (precision, explicit) == ("FLOAT", True):
        return Compute.WEIGHT_ONLY
    raise RecipeError(
        f"compute_precision {precision} with explicit_dequantize {explicit} has no kernels",
        where=where,
        next="INTEGER with false (dynamic), or FLOAT with true (weight-only)",
    )


def _tensor(config: Mapping[str, Any], field: str, where: str) -> dict[str, Any] | None:
    """A tensor's configuration with its defaults."""
    told = config.get(field)
    if told is None:
        return None
    _check_fields(told, _TENSOR_FIELDS, f"{where}, {field}")
    for name in ("algorithm_params", "block_size"):
        value = told.get(name)
        if any(value.values()) if isinstance(value, Mapping) else value:
            raise RecipeError(f"{name} = {value!r} is not offered", where=f"{where}, {field}", next="leave it out")
    if "num_bits" not in told:
        raise RecipeError("num_bits is missing", where=f"{where}, {field}", next="8 is usual")
    return {
        "num_bits": _whole(told["num_bits"], "num_bits", f"{where}, {field}"),
        "symmetric": bool(told.get("symmetric", True)),
        "granularity": _text(told.get("granularity", "TENSORWISE")),
        "dtype": _text(told.get("dtype", "INT")),
    }


def _granularity(tensor: Mapping[str, Any], where: str) -> str:
    if tensor["granularity"] not in _GRANULARITIES:
        raise RecipeError(
            f"granularity {tensor['granularity']} is not offered",
            where=where,
            next=f"one of {', '.join(_GRANULARITIES)}",
        )
    return _GRANULARITIES[tensor["granularity"]]


def _activation_storage(tensor: Mapping[str, Any], where: str) -> str:
    found = _ACTIVATIONS.get((tensor["dtype"], tensor["num_bits"]))
    if found is None or _granularity(tensor, where) != "per-tensor":
        raise RecipeError(
            f"{tensor['granularity']} activations of {tensor['dtype']} with {tensor['num_bits']} bits are not offered",
            where=where,
            next="INT with 8 or 16 bits, or UINT with 8, TENSORWISE",
        )
    return found


def _check_fields(told: Any, known: Iterable[str], where: str) -> None:
    if not isinstance(told, Mapping):
        raise RecipeError(f"{told!r} is not an object", where=where, next=f"fields: {', '.join(sorted(known))}")
    for name in told:
        if name not in known:
            raise RecipeError(f"unknown field {name!r}", where=where, next=f"one of {', '.join(sorted(known))}")


def _whole(value: Any, field: str, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{field} = {value!r} holds no whole number", where=where, next="write one") from error


def _text(value: Any) -> str:
    """A name, or the member of an enumeration of names."""
    return str(getattr(value, "value", value))
