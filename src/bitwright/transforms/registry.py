"""The transforms by name, each with what it does in one line and the arguments it takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bitwright.errors import TransformError
from bitwright.transforms.add_default_attributes import add_default_attributes
from bitwright.transforms.equalize import equalize
from bitwright.transforms.fold_batch_norms import fold_batch_norms
from bitwright.transforms.fold_constants import fold_constants
from bitwright.transforms.fuse_matmul_add import fuse_matmul_add
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.merge_duplicate_nodes import merge_duplicate_nodes
from bitwright.transforms.name_nodes import name_nodes
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.remove_identities import remove_identities
from bitwright.transforms.remove_redundant_quantization import remove_redundant_quantization
from bitwright.transforms.shapes import infer_shapes
from bitwright.transforms.sort_by_execution_order import sort_by_execution_order
from bitwright.transforms.split_output_constants import split_output_constants
from bitwright.transforms.split_shared_biases import split_shared_biases
from bitwright.transforms.strip_unused_nodes import strip_unused_nodes
from bitwright.transforms.untranspose_gemm import untranspose_gemm

Reader = Callable[[tuple[str, ...]], object]


@dataclass(frozen=True)
class Transform:
    """One row of the registry.

    Args:
        function: called with the model and the arguments; changes the model in place.
        description: one line for people.
        arguments: by name, what makes a value of the texts that were given.
        cuts: the call's inputs and outputs are given to it as `inputs` and `outputs`.
    """

    function: Callable[..., Outcome]
    description: str
    arguments: Mapping[str, Reader] = field(default_factory=dict)
    cuts: bool = False


def whole_number(texts: tuple[str, ...]) -> int:
    """The last text as an integer."""
    return int(texts[-1])


def names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """All names; several in one text are divided by commas."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


TRANSFORMS: dict[str, Transform] = {
    "add_default_attributes": Transform(add_default_attributes, "write out attributes that have their default value"),
    "equalize": Transform(
        equalize, "give channels between two layers weights of equal range", {"iterations": whole_number}
    ),
    "fold_batch_norms": Transform(
        fold_batch_norms, "fold normalizations and constant factors into the layer before them"
    ),
    "fold_constants": Transform(
        fold_constants, "compute what depends on constants alone", {"growth_limit_bytes": whole_number}
    ),
    "fuse_matmul_add": Transform(fuse_matmul_add, "make a Gemm of a product of matrices and its constant bias"),
    "infer_shapes": Transform(infer_shapes, "fill in missing types and shapes"),
    "lift_constants": Transform(lift_constants, "turn Constant nodes into initializers"),
    "merge_duplicate_nodes": Transform(merge_duplicate_nodes, "hold equal constants and computations once"),
    "name_nodes": Transform(name_nodes, "give every node a name of its own"),
    "remove_identities": Transform(remove_identities, "remove nodes that give back their input"),
    "remove_redundant_quantization": Transform(
        remove_redundant_quantization, "remove a Dequantize that meets a Quantize of the same parameters"
    ),
    "sort_by_execution_order": Transform(sort_by_execution_order, "put nodes behind those whose results they read"),
    "split_output_constants": Transform(
        split_output_constants, "give readers of a constant that is an output one of their own"
    ),
    "split_shared_biases": Transform(split_shared_biases, "give every layer a bias of its own"),
    "strip_unused_nodes": Transform(
        strip_unused_nodes,
        "remove what no output needs; cut the graph at given inputs and outputs",
        {"inputs": names, "outputs": names},
        cuts=True,
    ),
    "untranspose_gemm": Transform(
        untranspose_gemm, "store constant Gemm weights as they are multiplied, without transB"
    ),
}


def transform_named(name: str, *, where: str | None = None) -> Transform:
    """The transform of a name.

    Raises:
        TransformError: there is none; it lists those there are.
    """
    if name in TRANSFORMS:
        return TRANSFORMS[name]
    near = difflib.get_close_matches(name, TRANSFORMS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise TransformError(
        f"no transform is named {name!r}", where=where, next=f"{meant}there are: {', '.join(sorted(TRANSFORMS))}"
    )


def read_arguments(
    name: str, arguments: Mapping[str, tuple[str, ...]], *, where: str | None = None
) -> dict[str, object]:
    """The arguments of a call, as the transform's function takes them. `ignore_errors` is not among them.

    Raises:
        TransformError: an argument that the transform does not have, or a value that it cannot be.
    """
    readers = transform_named(name).arguments
    read: dict[str, object] = {}
    for key, texts in arguments.items():
        if key == "ignore_errors":
            if texts[-1].lower() not in ("true", "false", "1", "0"):
                raise TransformError(f"ignore_errors is true or false (got {texts[-1]!r})", where=where)
            continue
        if key not in readers:
            raise TransformError(
                f"{name} has no argument {key!r}",
                where=where,
                next=f"it has: {', '.join(sorted({*readers, 'ignore_errors'}))}",
            )
        try:
            read[key] = readers[key](texts)
        except ValueError as error:
            raise TransformError(f"{key} of {name} must be a whole number (got {texts[-1]!r})", where=where) from error
    return read
