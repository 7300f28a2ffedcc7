"""Whether a target's integer kernels take the storage types that a recipe asks for together."""

from __future__ import annotations

from collections.abc import Iterator

from bitwright.errors import UsageError
from bitwright.numerics.qparams import STORAGES
from bitwright.quantization.decision import Decision, storage_of
from bitwright.quantization.plan import Compute
from bitwright.quantization.recipe import Recipe
from bitwright.quantization.target import Target

#: What inputs and outputs hold when nothing else is asked.
FLOAT_PORT = "float32"


def check_storages(decision: Decision, target: Target) -> None:
    """Refuse what no integer kernel takes.

    Raises:
        UsageError: weights of another storage type, zero_point or granularity than kernels take, or activations of
            another zero_point.
    """
    for problem, remedy in _problems(decision, target):
        raise UsageError(
            f"{target.name} has no integer kernels for {problem}",
            where=f"node {decision.node.name!r}",
            next=remedy,
        )


def check_ports(recipe: Recipe, target: Target, *, input_type: str | None, output_type: str | None) -> None:
    """Refuse types of inputs and outputs that the target's files do not have beside such activations.

    Raises:
        UsageError: an unknown type, or one that goes with other activations.
    """
    integers = [entry.how for entry in recipe.entries if entry.how.compute is Compute.INTEGER]
    storages = {how.activation_storage or target.activation_storage for how in integers}
    kernels = [target.kernels[storage] for storage in storages if storage in target.kernels]
    allowed = [FLOAT_PORT, *dict.fromkeys(port for one in kernels for port in one.ports)]
    for option, asked in (("input_type", input_type), ("output_type", output_type)):
        if asked is not None and not target.kernels:
            raise UsageError(
                f"{option} is for .tflite files, and the model is for {target.name}",
                next='take target="litert", or leave it out',
            )
        if asked is not None and asked not in allowed:
            raise UsageError(f"{option} cannot be {asked} in mode {recipe.mode}", next=f"one of {', '.join(allowed)}")


def integer_storage(storage: str) -> str:
    """The storage type of integer kernels' weights where one of fewer bits is asked.

    >>> integer_storage("i4"), integer_storage("u8")
    ('i8', 'u8')
    """
    return storage if STORAGES[storage].bits >= 8 else storage[0] + "8"


def _problems(decision: Decision, target: Target) -> Iterator[tuple[str, str]]:
    storage, how = storage_of(decision, target), decision.how
    kernels = target.kernels.get(storage)
    if kernels is None:
        return
    weights = integer_storage(how.weight_storage or "i8")
    if weights != kernels.weights:
        yield f"{storage} activations with {weights} weights", f"take {kernels.weights} weights, or other activations"
    if kernels.symmetric_weights and not how.weight_symmetric:
        yield f"{weights} weights with a zero_point", 'take "weight_symmetric": true'
    if not kernels.weights_per_channel and how.weight_granularity != "per-tensor":
        yield f"{weights} weights with a scale a channel", 'take "weight_granularity": "per-tensor"'
    if kernels.symmetric_activations and not how.activation_symmetric:
        yield f"{storage} activations with a zero_point", 'take "activation_symmetric": true'
