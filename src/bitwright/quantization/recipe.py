"""Recipe: what the user asks. An ordered list of (scope regex, operator, how); later entries win, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bitwright.errors import RecipeError, UsageError
from bitwright.quantization.plan import Compute

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")


@dataclass(frozen=True)
class How:
    """How a node is asked to compute. In a recipe entry, None leaves a field as earlier entries have it.

    Args:
        compute: float, float16, weight-only, dynamic or integer.
        weight_storage: i8, u8, i4 or i2: of the weights. Integer kernels hold narrower integers in 8 bits.
        weight_granularity: per-tensor, per-channel or per-block.
        block_size: elements of one block along the reduced dimension.
        weight_symmetric: weights have zero_point 0.
        weight_bits: bits that 8-bit weights use: with 7, two products fit 16 bits, which kernels of x86 processors
            without VNNI add them in.
        weight_method: minmax, or mse (the scale of least squared error).
        activation_storage: u8, i8, i16; None = what the target is fastest with. u4 for ONNX files alone: clipped
            floats, held in 8 bits.
        activation_symmetric: activations have zero_point 0.
    """

    compute: Compute | None = None
    weight_storage: str | None = None
    weight_granularity: str | None = None
    block_size: int | None = None
    weight_symmetric: bool | None = None
    weight_bits: int | None = None
    weight_method: str | None = None
    activation_storage: str | None = None
    activation_symmetric: bool | None = None

    def over(self, base: How) -> How:
        """This, laid over `base`: fields that are None come from there."""
        return replace(base, **self._set())

    def _set(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


#: What every recipe starts from: nothing is quantized.
FLOAT = How(
    compute=Compute.FLOAT,
    weight_storage="i8",
    weight_granularity="per-channel",
    block_size=32,
    weight_symmetric=True,
    weight_method="minmax",
    activation_symmetric=False,
)

_CHOICES: dict[str, tuple[Any, ...]] = {
    "compute": tuple(str(c) for c in Compute),
    "weight_storage": ("i8", "u8", "i4", "i2"),
    "weight_granularity": ("per-tensor", "per-channel", "per-block"),
    "weight_method": ("minmax", "mse"),
    "weight_bits": (8, 7),
    "activation_storage": ("u8", "i8", "i16", "u4"),
    "weight_symmetric": (True, False),
    "activation_symmetric": (True, False),
}


@dataclass(frozen=True)
class Entry:
    """One line of a recipe: nodes whose name matches `scope` (regex, searched), of one operator ("*" = any)."""

    scope: str
    operator: str
    how: How

    def matches(self, node_name: str, op: str) -> bool:
        return self.operator in ("*", op) and re.search(self.scope, node_name) is not None


@dataclass(frozen=True)
class Recipe:
    """An ordered list of entries; later entries win, field by field.

    >>> recipe = recipe_for_mode("int8").exclude("head")
    >>> recipe.how("/body/conv1", "Conv").compute, recipe.how("/head/fc", "Gemm").compute
    (<Compute.INTEGER: 'integer'>, <Compute.FLOAT: 'float'>)
    """

    entries: tuple[Entry, ...]
    mode: str = "recipe"

    def how(self, node_name: str, op: str) -> How:
        """What is asked of one node."""
        result = FLOAT
        for entry in self.entries:
            if entry.matches(node_name, op):
                result = entry.how.over(result)
        return result

    def exclude(self, *scopes: str) -> Recipe:
        """The same, with the nodes whose names match left float.

        Raises:
            RecipeError: not a regular expression.
        """
        return replace(self, entries=self.entries + tuple(_entry(scope, "*", {"compute": "float"}) for scope in scopes))

    @property
    def needs_calibration(self) -> bool:
        """Whether any entry asks for integer activations."""
        return any(entry.how.compute is Compute.INTEGER for entry in self.entries)

    def to_json(self) -> str:
        """JSON: a list of objects; fields that were not given are left out."""
        return json.dumps(
            [
                {"scope": e.scope, "operator": e.operator, **{k: v for k, v in asdict(e.how).items() if v is not None}}
                for e in self.entries
            ],
            indent=1,
        )

    @staticmethod
    def from_json(text: str) -> Recipe:
        """A recipe from its JSON form.

        Raises:
            RecipeError: not JSON, an unknown field or value, a regular expression that does not compile.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecipeError(f"the recipe is not JSON: {error}") from error
        if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
            raise RecipeError(
                "a recipe is a list of objects", next='[{"scope": ".*", "operator": "*", "compute": "integer"}]'
            )
        entries = []
        for item in data:
            rest = dict(item)
            entries.append(_entry(rest.pop("scope", ".*"), rest.pop("operator", "*"), rest))
        return Recipe(tuple(entries))


def _entry(scope: str, operator: str, values: dict[str, Any]) -> Entry:
    where = f"recipe entry for scope {scope!r}, operator {operator!r}"
    try:
        re.compile(scope)
    except (re.error, TypeError) as error:
        raise RecipeError(
            f"{scope!r} is not a regular expression: {error}", where=where, next="escape special characters with a \\"
        ) from error
    if not isinstance(operator, str):
        raise RecipeError(f"operator cannot be {operator!r}", where=where, next='an ONNX operator name, or "*"')
    known = {f.name for f in fields(How)}
    for key, value in values.items():
        if key not in known:
            raise RecipeError(
                f"unknown field {key!r}", where=where, next=f"one of scope, operator, {', '.join(sorted(known))}"
            )
        if key in _CHOICES and value not in _CHOICES[key]:
            raise RecipeError(
                f"{key} cannot be {value!r}", where=where, next=f"one of {', '.join(map(str, _CHOICES[key]))}"
            )
    size = values.get("block_size")
    if size is not None and (not isinstance(size, int) or size < 16 or size & (size - 1)):
        raise RecipeError(
            f"block_size cannot be {size!r}", where=where, next="a power of two from 16, such as 32, 64 or 128"
        )
    if "compute" in values:
        values = {**values, "compute": Compute(values["compute"])}
    return Entry(scope, operator, How(**values))


#: How wide weights may be, by mode; 8 bits elsewhere.
_WEIGHT_BITS = {"weight-only": (8, 4), "int8": (8, 4, 2)}


def recipe_for_mode(
    mode: str,
    *,
    per_channel: bool = True,
    weight_bits: int = 8,
    block_size: int | None = None,
    activation_storage: str | None = None,
    weight_method: str | None = None,
    exclude: Sequence[str] = (),
    has_blocks: bool = True,
) -> Recipe:
    """The recipe that a mode stands for.

    Args:
        mode: float16, weight-only, dynamic, int8, uint8 or int16x8.
        per_channel: one scale per output channel of the weights (else per tensor).
        weight_bits: 8; 4 in modes weight-only and int8; 2 in mode int8.
        block_size: elements per scale; blocks of 32 are the default at 4 bits in weight-only mode, where there are any.
        activation_storage: u8, i8 or u4 in mode int8; what the target is fastest with by default.
        weight_method: minmax or mse; mse by default below 8 bits.
        exclude: regular expressions of node names that stay float.
        has_blocks: whether the target's files hold blocks; 4-bit weights have one scale a channel where they do not.

    Raises:
        UsageError: unknown mode, or an option that the mode does not have.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}", next=f"one of {', '.join(MODES)}")
    if weight_bits not in (8, 4, 2):
        raise UsageError(f"weights of {weight_bits} bits are not offered", next="8, 4 or 2")
    if mode in ("uint8", "float16") and (weight_bits != 8 or block_size):
        raise UsageError(
            f"mode {mode} has no {'blocks' if block_size else f'{weight_bits}-bit weights'}", next="use weight-only"
        )
    if weight_bits not in _WEIGHT_BITS.get(mode, (8,)):
        raise UsageError(f"mode {mode} has no {weight_bits}-bit weights", next="use --mode weight-only or int8")
    if activation_storage is not None and mode != "int8":
        raise UsageError(f"mode {mode} has its own activations", next="leave --activations to --mode int8")
    if weight_method == "mse" and mode in ("uint8", "float16"):
        raise UsageError(f"mode {mode} has no weights of least squared error", next="leave --weight-method out")
    if block_size and not per_channel:
        raise UsageError(
            "blocks are finer than channels: per-tensor weights have none", next="leave one of the two out"
        )
    if block_size and not has_blocks:
        raise UsageError(
            "files for this target hold no blocks of weights",
            next="leave the block size out: weights then have one scale a channel",
        )
    if block_size and mode != "weight-only":
        raise UsageError(f"mode {mode} has no blocks of weights", next="use --mode weight-only")
    blocked = block_size is not None or (weight_bits == 4 and mode == "weight-only" and per_channel and has_blocks)
    values: dict[str, Any] = {
        "weight_storage": f"i{weight_bits}",
        "weight_granularity": "per-block" if blocked else "per-channel" if per_channel else "per-tensor",
        "weight_method": weight_method or ("mse" if weight_bits < 8 else "minmax"),
    }
    if blocked:
        values["block_size"] = block_size or 32
    if mode == "float16":
        values = {"compute": "float16"}
    elif mode in ("weight-only", "dynamic"):
        values["compute"] = mode
    elif mode == "int8":
        values |= {"compute": "integer", "activation_storage": activation_storage}
        if activation_storage is None:
            del values["activation_storage"]
    elif mode == "uint8":
        values |= {
            "compute": "integer",
            "activation_storage": "u8",
            "weight_storage": "u8",
            "weight_granularity": "per-tensor",
            "weight_symmetric": False,
        }
    else:
        values |= {"compute": "integer", "activation_storage": "i16", "activation_symmetric": True}
    return replace(Recipe((_entry(".*", "*", values),), mode).exclude(*exclude), mode=mode)
