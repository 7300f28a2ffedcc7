"""The file form of a table of arrays: a `.npz` whose bytes follow from its contents alone, or JSON for people."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fields = dict[str, NDArray[Any]]
_METADATA = "metadata.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(metadata: Mapping[str, Any], tables: Mapping[str, Fields]) -> bytes:
    """One table of 1-D arrays per name, as a zip that `numpy.load` opens too.

    For each field: `<field>.npy` holds the arrays of all names one after the other, `<field>.length.npy` the length
    of each name's (-1: it has no such field). Integers take the smallest type that holds them. No compression and
    no dates: equal contents are equal bytes.
    """
    names = sorted(tables)
    members: dict[str, bytes] = {_METADATA: _json({**metadata, "names": names}).encode()}
    for field in sorted({field for table in tables.values() for field in table}):
        parts = [tables[name].get(field) for name in names]
        held = [part for part in parts if part is not None]
        members[f"{field}.npy"] = _npy(np.concatenate(held))
        lengths = np.array([-1 if part is None else part.size for part in parts], dtype=np.int64)
        members[f"{field}.length.npy"] = _npy(lengths)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            archive.writestr(entry, data)
    return target.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Fields]]:
    """The inverse of `pack`.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: not such bytes.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata = json.loads(archive.read(_METADATA))
        names = [str(name) for name in metadata.pop("names")]
        tables: dict[str, Fields] = {name: {} for name in names}
        suffix = ".length.npy"
        for field in [n.removesuffix(suffix) for n in archive.namelist() if n.endswith(suffix)]:
            lengths = _read_npy(archive.read(field + suffix))
            array = _read_npy(archive.read(f"{field}.npy"))
            if lengths.shape != (len(names),) or array.ndim != 1 or int(np.maximum(lengths, 0).sum()) != array.size:
                raise ValueError(f"field {field!r} does not fit its lengths")
            end = 0
            for name, length in zip(names, lengths.tolist(), strict=True):
                if length >= 0:
                    tables[name][field] = array[end : end + length]
                    end += length
    return metadata, tables


def pack_json(metadata: Mapping[str, Any], tables: Mapping[str, Fields]) -> str:
    """The same contents as text, one line a field; floats are written so that they read back exactly."""
    lines = []
    for name in sorted(tables):
        fields = (f"  {json.dumps(key)}: {json.dumps(value.tolist())}" for key, value in sorted(tables[name].items()))
        lines.append(f" {json.dumps(name)}: {{\n" + ",\n".join(fields) + "\n }")
    return f'{{"metadata": {_json(metadata)},\n"tensors": {{\n' + ",\n".join(lines) + "\n}}\n"


def unpack_json(text: str) -> tuple[dict[str, Any], dict[str, Fields]]:
    """The inverse of `pack_json`.

    Raises:
        ValueError, KeyError, AttributeError, TypeError: not such text.
    """
    data = json.loads(text)
    return dict(data["metadata"]), {
        str(name): {str(key): np.array(value) for key, value in fields.items()}
        for name, fields in data["tensors"].items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _npy(array: NDArray[Any]) -> bytes:
    if array.dtype.kind in "iu" and array.size:
        array = array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))
    elif array.dtype.kind in "iu":
        array = array.astype(np.uint8)
    target = io.BytesIO()
    little = array.astype(array.dtype.newbyteorder("<"))
    np.lib.format.write_array(target, little, version=(1, 0), allow_pickle=False)
    return target.getvalue()


def _read_npy(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array
