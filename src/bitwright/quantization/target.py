"""Target: what a runtime accepts and is fast at. Data, one JSON file each in `targets/`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from bitwright.errors import UsageError

#: The key of `refused_forms` for operators that quantize activations as they arrive.
DYNAMIC = "dynamic"


@dataclass(frozen=True)
class Kernels:
    """What integer kernels of one activation storage type take beside their activations.

    Args:
        weights: storage type of weights.
        symmetric_weights: weights have zero_point 0.
        weights_per_channel: weights may have a scale an output channel.
        symmetric_activations: activations have zero_point 0.
        bias: storage type of biases.
        ports: what inputs and outputs of a model of such activations may hold in place of floats.
    """

    weights: str
    symmetric_weights: bool = True
    weights_per_channel: bool = True
    symmetric_activations: bool = False
    bias: str = "i32"
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What a runtime accepts and is fast at.

    Args:
        name: the file's name.
        activation_storage: the storage type its integer kernels are fastest with.
        calibration_method: how ranges of activations are chosen unless told.
        integer_ops: operators with an integer form, by activation storage type.
        float_result_ops: operators whose integer form can give a float result, by activation storage type.
        dynamic_ops: operators with kernels that quantize activations as they arrive.
        refused_forms: rows of `forms.FORMS` without such a kernel, by activation storage type or "dynamic".
        same_scale_ops: operators whose kernels take and give integers of one scale and zero_point, beyond the moves.
        is_whole: every operator that can is to be integer: those whose operands are float, those at the end too.
        kernels: what its integer kernels take, by activation storage type; one that is not named takes anything.
        has_blocks: whether a file can hold weights with a scale a block.
        has_multiplied_weights: whether dynamic and weight-only kernels take a matrix product's weight as it is
            multiplied, [K, N], and in no other order.
    """

    name: str
    description: str
    activation_storage: str
    integer_ops: dict[str, frozenset[str]]
    float_result_ops: dict[str, frozenset[str]]
    dynamic_ops: frozenset[str]
    calibration_method: str = "minmax"
    refused_forms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    same_scale_ops: frozenset[str] = frozenset()
    is_whole: bool = False
    kernels: dict[str, Kernels] = field(default_factory=dict)
    has_blocks: bool = True
    has_multiplied_weights: bool = True

    def has_integer(self, op: str, storage: str) -> bool:
        """Whether the operator has an integer form with this activation storage type."""
        return op in self.integer_ops.get(storage, frozenset())

    def gives_float(self, op: str, storage: str) -> bool:
        """Whether the operator's integer form can give a float result with this activation storage type."""
        return op in self.float_result_ops.get(storage, frozenset())

    def bias_storage(self, activations: str) -> str:
        """The storage type of biases beside activations of this one."""
        return self.kernels[activations].bias if activations in self.kernels else "i32"


def target_names() -> list[str]:
    """The targets that ship."""
    return sorted(p.name[:-5] for p in _folder().iterdir() if p.name.endswith(".json"))


@cache
def load_target(name: str) -> Target:
    """A target by name.

    Raises:
        UsageError: no such target.
    """
    path = _folder() / f"{name}.json"
    if name not in target_names():
        raise UsageError(f"unknown target {name!r}", next=f"one of {', '.join(target_names())}")
    data: dict[str, Any] = json.loads(path.read_text())
    kernels = data.get("kernels", {})
    for rows in (data["integer_ops"], data["float_result_ops"], data["refused_forms"]):
        for storage, other in data.get("like", {}).items():
            rows[storage] = rows.get(other, [])
    return Target(
        name=data["name"],
        description=data["description"],
        activation_storage=data["activation_storage"],
        integer_ops=_sets(data["integer_ops"]),
        float_result_ops=_sets(data["float_result_ops"]),
        dynamic_ops=frozenset(data["dynamic_ops"]),
        calibration_method=data.get("calibration_method", "minmax"),
        refused_forms={key: tuple(rows) for key, rows in data["refused_forms"].items()},
        same_scale_ops=frozenset(data.get("same_scale_ops", ())),
        is_whole=data.get("is_whole", False),
        kernels={storage: Kernels(**{**one, "ports": tuple(one["ports"])}) for storage, one in kernels.items()},
        has_blocks=data.get("has_blocks", True),
        has_multiplied_weights=data.get("has_multiplied_weights", True),
    )


def _sets(lists: dict[str, list[str]]) -> dict[str, frozenset[str]]:
    return {key: frozenset(names) for key, names in lists.items()}


def _folder() -> resources.abc.Traversable:
    return resources.files("bitwright.quantization") / "targets"
