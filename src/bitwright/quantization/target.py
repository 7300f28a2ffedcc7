"""Target: what a runtime accepts and is fast at. Data, one JSON file each in `targets/`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bitwright.errors import UsageError


@dataclass(frozen=True)
class Target:
    """What a runtime accepts and is fast at.

    Args:
        name: the file's name.
        activation_storage: the storage type its integer kernels are fastest with.
        integer_ops: operators with an integer form, by activation storage type.
        float_result_ops: operators whose integer form can give a float result, by activation storage type.
        dynamic_ops: operators with kernels that quantize activations as they arrive.
    """

    name: str
    description: str
    activation_storage: str
    integer_ops: dict[str, frozenset[str]]
    float_result_ops: dict[str, frozenset[str]]
    dynamic_ops: frozenset[str]

    def has_integer(self, op: str, storage: str) -> bool:
        """Whether the operator has an integer form with this activation storage type."""
        return op in self.integer_ops.get(storage, frozenset())

    def gives_float(self, op: str, storage: str) -> bool:
        """Whether the operator's integer form can give a float result with this activation storage type."""
        return op in self.float_result_ops.get(storage, frozenset())


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
    data = json.loads(path.read_text())
    return Target(
        name=data["name"],
        description=data["description"],
        activation_storage=data["activation_storage"],
        integer_ops={storage: frozenset(ops) for storage, ops in data["integer_ops"].items()},
        float_result_ops={storage: frozenset(ops) for storage, ops in data["float_result_ops"].items()},
        dynamic_ops=frozenset(data["dynamic_ops"]),
    )


def _folder() -> resources.abc.Traversable:
    return resources.files("bitwright.quantization") / "targets"
