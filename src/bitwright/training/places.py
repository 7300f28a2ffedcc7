"""Places: constants of a graph as parameters and buffers of a module, under their own names."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

#: What every dictionary of modules has itself.
_NO_MODULES = nn.ModuleDict()


@dataclass(frozen=True)
class Place:
    """Where a tensor is held.

    Args:
        owner: the module.
        name: its name there.
    """

    owner: nn.Module
    name: str

    @property
    def tensor(self) -> Tensor:
        """What is held now: a module that moves to another device, or is cast, holds another."""
        held = self.owner._parameters.get(self.name)
        if held is None:
            held = self.owner._buffers[self.name]
        assert held is not None
        return held

    def is_parameter(self) -> bool:
        """Whether it is trained."""
        return self.owner._parameters.get(self.name) is not None

    def freeze(self) -> None:
        """A parameter becomes a buffer."""
        held = self.owner._parameters.pop(self.name).detach()
        self.owner.register_buffer(self.name, held)

    def thaw(self) -> None:
        """A buffer becomes a parameter."""
        held = self.owner._buffers.pop(self.name)
        self.owner.register_parameter(self.name, nn.Parameter(held))


def hold(root: nn.Module, name: str, tensor: Tensor, *, trained: bool) -> Place:
    """Hold a tensor under a name, whose dots are modules within modules, as `state_dict` has them.

    Where a name is taken, or cannot be one, it gets underscores.
    """
    *path, last = name.split(".")
    owner = _owner(root, path)
    if owner is None or not last or hasattr(owner, last):
        owner, last = root, name.replace(".", "_")
        while not last or hasattr(root, last):
            last += "_"
    if trained:
        owner.register_parameter(last, nn.Parameter(tensor))
    else:
        owner.register_buffer(last, tensor)
    return Place(owner, last)


def _owner(root: nn.Module, path: list[str]) -> nn.Module | None:
    """The module at a path, made where it is not there; None where something else is."""
    owner = root
    for part in path:
        if not part or (hasattr(owner, part) and part not in owner._modules):
            return None
        found = owner._modules.get(part)
        if found is None:
            found = nn.Module()
            owner.add_module(part, found)
        owner = found
    return owner


def key_of(name: str) -> str:
    """A name as a key of modules: without dots, and none of what modules have themselves."""
    key = name.replace(".", "/")
    return f"{key}/" if hasattr(_NO_MODULES, key) else key
