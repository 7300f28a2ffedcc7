"""The transforms by name, each with what it does in one line and the arguments it takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bitwright.errors import TransformError
from bitwright.transforms.add_default_attributes import add_default_attributes
from bitwright.transforms.arguments import FORMS, Reader, all_sizes, names, sizes, truth, whole_number, word
from bitwright.transforms.equalize import equalize
from bitwright.transforms.fold_batch_norms import fold_batch_norms
from bitwright.transforms.fold_constants import fold_constants
from bitwright.transforms.fuse_convolutions import fuse_convolutions
from bitwright.transforms.fuse_matmul_add import fuse_matmul_add
from bitwright.transforms.fuse_recurrent import fuse_recurrent
from bitwright.transforms.lift_constants import lift_constants
from bitwright.transforms.merge_duplicate_nodes import merge_duplicate_nodes
from bitwright.transforms.name_nodes import name_nodes
from bitwright.transforms.obfuscate_names import obfuscate_names
from bitwright.transforms.outcome import Outcome
from bitwright.transforms.remove_attribute import remove_attribute
from bitwright.transforms.remove_identities import remove_identities
from bitwright.transforms.remove_nodes import remove_nodes
from bitwright.transforms.remove_redundant_quantization import remove_redundant_quantization
from bitwright.transforms.rename_attribute import rename_attribute
from bitwright.transforms.rename_op import rename_op
from bitwright.transforms.round_weights import round_weights
from bitwright.transforms.shapes import infer_shapes
from bitwright.transforms.sink_transposes import sink_transposes
from bitwright.transforms.sort_by_execution_order import sort_by_execution_order
from bitwright.transforms.split_output_constants import split_output_constants
from bitwright.transforms.split_shared_biases import split_shared_biases
from bitwright.transforms.strip_unused_nodes import strip_unused_nodes
from bitwright.transforms.untranspose_gemm import untranspose_gemm


@dataclass(frozen=True)
class Transform:
    """One row of the registry.

    Args:
        function: called with the model and the arguments; changes the model in place.
        description: one line for people.
        arguments: by name, what makes a value of the texts that were given.
        cuts: the call's inputs and outputs are given to it as `inputs` and `outputs`.
        required: arguments that a call must have.
    """

    function: Callable[..., Outcome]
    description: str
    arguments: Mapping[str, Reader] = field(default_factory=dict)
    cuts: bool = False
    required: tuple[str, ...] = ()


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
    "fold_old_batch_norms": Transform(
        fold_batch_norms, "the same as fold_batch_norms: ONNX has one normalization for TensorFlow's two"
    ),
    "fuse_convolutions": Transform(fuse_convolutions, "let a Conv put the zeros around its image that a Pad puts"),
    "fuse_matmul_add": Transform(fuse_matmul_add, "make a Gemm of a product of matrices and its constant bias"),
    "fuse_recurrent": Transform(fuse_recurrent, "make an LSTM or GRU of a loop that computes one"),
    "infer_shapes": Transform(infer_shapes, "fill in missing types and shapes"),
    "lift_constants": Transform(lift_constants, "turn Constant nodes into initializers"),
    "merge_duplicate_nodes": Transform(merge_duplicate_nodes, "hold equal constants and computations once"),
    "name_nodes": Transform(name_nodes, "give every node a name of its own"),
    "obfuscate_names": Transform(obfuscate_names, "give everything but inputs and outputs short names without meaning"),
    "remove_attribute": Transform(
        remove_attribute,
        "delete an attribute of all nodes, or of one operator's",
        {"attribute_name": word, "op_name": word},
        required=("attribute_name",),
    ),
    "remove_identities": Transform(remove_identities, "remove nodes that give back their input"),
    "remove_nodes": Transform(
        remove_nodes,
        "take out nodes of given operators, whatever they compute",
        {"op": names, "max_inputs": whole_number},
        required=("op",),
    ),
    "remove_redundant_quantization": Transform(
        remove_redundant_quantization, "remove a Dequantize that meets a Quantize of the same parameters"
    ),
    "rename_attribute": Transform(
        rename_attribute,
        "give an attribute of all nodes, or of one operator's, another name",
        {"old_attribute_name": word, "new_attribute_name": word, "op_name": word},
        required=("old_attribute_name", "new_attribute_name"),
    ),
    "rename_op": Transform(
        rename_op,
        "make nodes of one operator nodes of another",
        {"old_op_name": word, "new_op_name": word},
        required=("old_op_name", "new_op_name"),
    ),
    "round_weights": Transform(
        round_weights,
        "let large float constants take few values, so that files compress",
        {"num_steps": whole_number, "minimum_size": whole_number},
    ),
    "sink_transposes": Transform(sink_transposes, "move Transposes behind what works by element, and cancel inverses"),
    "sort_by_execution_order": Transform(sort_by_execution_order, "put nodes behind those whose results they read"),
    "split_output_constants": Transform(
        split_output_constants, "give readers of a constant that is an output one of their own"
    ),
    "split_shared_biases": Transform(split_shared_biases, "give every layer a bias of its own"),
    "strip_unused_nodes": Transform(
        strip_unused_nodes,
        "remove what no output needs; cut the graph at given inputs and outputs",
        {
            "inputs": names,
            "outputs": names,
            "type": word,
            "shape": sizes,
            "name": names,
            "type_for_name": names,
            "shape_for_name": all_sizes,
        },
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
    name: str,
    arguments: Mapping[str, tuple[str, ...]],
    *,
    where: str | None = None,
    row: Transform | None = None,
) -> dict[str, object]:
    """The arguments of a call, as the transform's function takes them. `ignore_errors` is not among them.

    Args:
        name: of the transform.
        arguments: as the call has them.
        where: the call.
        row: of a transform that is not in the registry.

    Raises:
        TransformError: an argument that the transform does not have, one that it lacks, or a value that it cannot be.
    """
    row = row or transform_named(name)
    readers = {**row.arguments, "ignore_errors": truth}
    read: dict[str, object] = {}
    for key in row.required:
        if key not in arguments:
            raise TransformError(f"{name} needs {key}", where=where, next=f"write {name}({key}=...)")
    for key, texts in arguments.items():
        if key not in readers:
            raise TransformError(
                f"{name} has no argument {key!r}",
                where=where,
                next=f"it has: {', '.join(sorted(readers))}",
            )
        try:
            value = readers[key](texts)
        except (ValueError, KeyError) as error:
            raise TransformError(
                f"{key} of {name} must be {FORMS[readers[key]]} (got {texts[-1]!r})", where=where
            ) from error
        if key != "ignore_errors":
            read[key] = value
    return read
