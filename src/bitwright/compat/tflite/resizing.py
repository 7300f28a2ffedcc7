"""Resizing: a Program for other shapes of its inputs, as an interpreter's resize_tensor_input asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bitwright.compat.tflite.refusals import TensorError
from bitwright.errors import BitwrightError, SampleError
from bitwright.program.definition import Call
from bitwright.program.program import Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Shape
from bitwright.program.verify import verify


def shape_of(given: Any) -> Shape:
    """The sizes that a caller names.

    Raises:
        TensorError: they are no sizes.
    """
    try:
        sizes = tuple(int(size) for size in given)
    except (TypeError, ValueError):
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise TensorError(f"a shape cannot be {given!r}", next="give every dimension its size: [1, 224, 224, 3]")
    return sizes


def resized(program: Program, shapes: Mapping[str, Shape]) -> Program:
    """The same operators on inputs of other shapes.

    Args:
        program: verified.
        shapes: by name of the input's tensor.

    Raises:
        SampleError: an operator takes no such operands, or the Program keeps state, whose shape is fixed.
    """
    if any(tensor.variable for tensor in program.tensors.values()):
        raise SampleError("the model keeps state, whose shape is fixed", next="run its batch as it is, row by row")
    tensors = dict(program.tensors)
    for name, shape in shapes.items():
        tensors[name] = replace(tensors[name], shape=shape)
    for index, operator in enumerate(program.operators):
        operands = tuple(None if name is None else tensors[name] for name in operator.inputs)
        results = tuple(tensors[name] for name in operator.outputs)
        try:
            found = DEFINITIONS[operator.kind].infer(Call(operator, operands, results))
        except BitwrightError as error:
            raise _refused(shapes, f"operator {index}, {operator.kind} {operator.outputs[0]}: {error.what}") from error
        for name, shape in zip(operator.outputs, found, strict=True):
            tensors[name] = replace(tensors[name], shape=shape)
    made = replace(program, tensors=tensors)
    try:
        verify(made)
    except BitwrightError as error:
        raise _refused(shapes, error.what) from error
    return made


def _refused(shapes: Mapping[str, Shape], reason: str) -> SampleError:
    asked = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    return SampleError(
        f"the model does not take inputs of other shapes ({asked}): {reason}", next="give inputs of its own shapes"
    )
