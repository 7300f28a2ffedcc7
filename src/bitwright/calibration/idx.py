"""MNIST's idx files, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import SampleError

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def is_idx(path: Path) -> bool:
    """Whether the name is one of an idx file: `...-idx3-ubyte` or the same with `.gz`."""
    return "idx" in path.name and path.name.removesuffix(".gz").endswith(("ubyte", ".idx"))


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an idx file.

    Raises:
        SampleError: not such a file, or it ends early.

    Source: Y. LeCun, "The MNIST database", file formats: bytes 0 0 type rank, sizes as big-endian 32 bits, then data.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        dtype = np.dtype(_DTYPES[data[2]])
        shape = np.frombuffer(data, ">u4", count=data[3], offset=4).tolist()
        array = np.frombuffer(data, dtype, count=math.prod(shape), offset=4 + 4 * data[3])
    except (OSError, EOFError, KeyError, IndexError, ValueError, zlib.error) as error:
        raise SampleError(
            f"not an idx file, or a damaged one ({error})", where=str(path), next="fetch the file again"
        ) from error
    return array.reshape(shape).astype(dtype.newbyteorder("="))


def labels_beside(path: Path) -> NDArray[Any] | None:
    """The labels that belong to a file of images, when they lie beside it."""
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return read_idx(beside) if beside != path and beside.exists() else None
