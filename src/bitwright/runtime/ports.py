"""Ports: the face of a Program as callers use it: floats where its ports hold integers, rows where its batch is 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError
from bitwright.lowering.layout import Permutation, PortLayouts, inverse
from bitwright.numerics.quantize import dequantize, quantize
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Array, Tensor

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Mapping[str, NDArray[Any]]]


def run_rows(
    program: Program,
    run: Run,
    feeds: Mapping[str, NDArray[Any]],
    *,
    layouts: PortLayouts | None = None,
    as_floats: bool = False,
) -> Arrays:
    """Run a Program of batch 1 on one row or many.

    Args:
        program: whose ports they are.
        run: inputs by port name, as the ports hold them, to outputs likewise.
        feeds: inputs by port name: of the port's own type, or floats where it is quantized. Every first dimension may
            be larger than the port's 1: rows are run one by one.
        layouts: how the ports' dimensions lie against the caller's; None where they are the same.
        as_floats: whether integer outputs are given as the reals they stand for.

    Returns:
        Outputs by port name, in the caller's layout.

    Raises:
        SampleError: an input is missing, or its shape or type does not fit.
    """
    places = layouts or PortLayouts()
    given = {port.name: _given(port, feeds, program) for port in program.inputs}
    rows = _row_count(program, given, places)
    made: list[Arrays] = []
    for row in range(rows):
        one = {
            port.name: _stored(
                port,
                given[port.name] if rows == 1 else given[port.name][row : row + 1],
                program.tensors[port.tensor],
                places.inputs.get(port.name),
            )
            for port in program.inputs
        }
        results = run(one)
        made.append(
            {
                port.name: _shown(
                    results[port.name], program.tensors[port.tensor], places.outputs.get(port.name), as_floats
                )
                for port in program.outputs
            }
        )
    if rows == 1:
        return made[0]
    return {name: np.concatenate([result[name] for result in made]) for name in made[0]}


def _given(port: Port, feeds: Mapping[str, NDArray[Any]], program: Program) -> Array:
    if port.name not in feeds:
        raise SampleError(
            f"input {port.name!r} is missing", next=f"give {', '.join(port.name for port in program.inputs)}"
        )
    return np.asarray(feeds[port.name])


def _row_count(program: Program, given: Arrays, places: PortLayouts) -> int:
    """How many rows were given: 1 when every shape is the port's own."""
    counts = set()
    for port in program.inputs:
        shape, wanted = given[port.name].shape, caller_shape(program, port, places)
        if shape == wanted:
            counts.add(1)
        elif shape[1:] == wanted[1:] and wanted[:1] == (1,) and shape[:1] != (0,):
            counts.add(shape[0])
        else:
            raise SampleError(
                f"input {port.name!r} is {list(shape)}, the model takes {list(wanted)}",
                next="`bitwright inspect` lists inputs with their shapes",
            )
    if len(counts) > 1:
        raise SampleError(
            f"inputs have {' and '.join(map(str, sorted(counts)))} rows", next="give as many rows of each input"
        )
    return counts.pop() if counts else 1


def caller_shape(program: Program, port: Port, places: PortLayouts) -> tuple[int, ...]:
    """The shape of an input port in the caller's layout."""
    shape, permutation = program.tensors[port.tensor].shape, places.inputs.get(port.name)
    return shape if permutation is None else tuple(shape[i] for i in inverse(permutation))


def _stored(port: Port, array: Array, tensor: Tensor, permutation: Permutation | None) -> Array:
    placed = array if permutation is None else array.transpose(permutation)
    wanted = DTYPES[tensor.dtype]
    if placed.dtype == wanted:
        return np.ascontiguousarray(placed)
    if placed.dtype.kind == "f" and tensor.qparams is not None:
        return quantize(np.ascontiguousarray(placed, dtype=np.float32), tensor.qparams)
    if placed.dtype.kind == "f" and wanted.kind == "f":
        return np.ascontiguousarray(placed, dtype=wanted)
    raise SampleError(
        f"input {port.name!r} is {placed.dtype}, the model takes {wanted}",
        next="convert it, or give floats to a quantized input",
    )


def _shown(array: NDArray[Any], tensor: Tensor, permutation: Permutation | None, as_floats: bool) -> Array:
    placed = array if permutation is None else array.transpose(inverse(permutation))
    if as_floats and tensor.qparams is not None and placed.dtype.kind in "iu":
        return dequantize(placed, tensor.qparams)
    return placed
