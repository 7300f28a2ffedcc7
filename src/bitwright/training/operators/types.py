"""Element types: ONNX's numbers for them, PyTorch's types, constants as tensors, and Cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bitwright.errors import UnsupportedOpError

#: TensorProto.DataType -> PyTorch's type, for the types that PyTorch computes in.
TYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
_NAMES = {
    4: "uint16",
    8: "string",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    21: "uint4",
    22: "int4",
}


def torch_type(number: int) -> torch.dtype:
    """PyTorch's type for ONNX's number.

    Raises:
        UnsupportedOpError: PyTorch does not compute in it.

    >>> torch_type(16)
    torch.bfloat16
    """
    if number not in TYPES:
        raise UnsupportedOpError(
            f"values of type {_NAMES.get(number, f'number {number} of ONNX')} cannot be trained",
            next="train the float network; quantize it afterwards",
        )
    return TYPES[number]


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor with a copy of an array's values; bfloat16 as `ml_dtypes` holds it too.

    Raises:
        UnsupportedOpError: PyTorch does not compute in the array's type.
    """
    array = np.array(array, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if array.dtype.name not in {str(kind).removeprefix("torch.") for kind in TYPES.values()}:
        raise UnsupportedOpError(
            f"values of type {array.dtype.name} cannot be trained",
            next="train the float network; quantize it afterwards",
        )
    return torch.from_numpy(array)


def cast(x: torch.Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> torch.Tensor:
    """`x` in another type; `saturate` and `round_mode` are about types of 8 bits, which are refused."""
    return x.to(torch_type(to))


def cast_like(x: torch.Tensor, like: torch.Tensor, *, saturate: int = 1, round_mode: str = "up") -> torch.Tensor:
    """`x` in the type of another tensor."""
    return x.to(like.dtype)


OPERATORS: dict[str, Callable[..., Any]] = {"Cast": cast, "CastLike": cast_like}
