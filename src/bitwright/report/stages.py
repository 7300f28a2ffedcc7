"""Stages: what each tensor of a packed model weighs after pruning, after sharing, after coding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.bwz.dtypes import DTYPES
from bitwright.formats.bwz.read import Packed
from bitwright.formats.bwz.symbols import symbols_of
from bitwright.report.render import Section, bytes_text, cell, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

#: A float32 weight.
_WEIGHT_BITS = 32
#: Bits that a position may take: that of a gap which is longer is spelled with zeros that are kept.
_POSITION_BITS = range(1, 9)
#: Tensors with more distinct values share none.
_MOST_SHARED = 1 << 16
#: A table has room for so many letters of a name.
_LONGEST_NAME = 18


@dataclass(frozen=True)
class Stage:
    """One tensor.

    Args:
        name: its name.
        type: of its elements, such as "f32".
        shape: their shape.
        method: how it is coded: raw, coded, planes or sparse; "kept" when it lies among the graph.
        weights: how many elements.
        nonzeros: how many of them are not zero.
        distinct: how many values they have; None for more than 65536.
        pruned_bytes: non-zeros of 32 bits with their positions, or all weights where those are fewer.
        shared_bytes: the same with a codebook and indices of log2(distinct) bits, where that is fewer.
        coded_bytes: what it takes in the file.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    method: str
    weights: int
    nonzeros: int
    distinct: int | None
    pruned_bytes: int
    shared_bytes: int
    coded_bytes: int

    @property
    def float32_bytes(self) -> int:
        """What its weights take as float32."""
        return self.weights * _WEIGHT_BITS // 8

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.coded_bytes / self.weights

    @property
    def ratio(self) -> float:
        return self.float32_bytes / self.coded_bytes

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "type": self.type,
            "shape": list(self.shape),
            "method": self.method,
            "weights": self.weights,
            "nonzeros": self.nonzeros,
            "nonzero_share": self.nonzeros / self.weights,
            "distinct": self.distinct,
            "float32_bytes": self.float32_bytes,
            "pruned_bytes": self.pruned_bytes,
            "shared_bytes": self.shared_bytes,
            "coded_bytes": self.coded_bytes,
            "bits_per_weight": self.bits_per_weight,
            "ratio": self.ratio,
        }


@dataclass(frozen=True)
class Stages:
    """A packed model.

    Args:
        source: the .bwz file.
        format: of the file in it, such as ".onnx".
        model_bytes: of that file.
        packed_bytes: of the .bwz file.
        tensors: those that are coded, in the order of the file.
        kept: how many small tensors lie among the graph.
        kept_weights: their elements.
    """

    source: str | None
    format: str
    model_bytes: int
    packed_bytes: int
    tensors: tuple[Stage, ...]
    kept: int
    kept_weights: int

    @cached_property
    def float32_bytes(self) -> int:
        """What all tensors take as float32, those among the graph counted."""
        return sum(tensor.float32_bytes for tensor in self.tensors) + self.kept_weights * _WEIGHT_BITS // 8

    @property
    def pruned_bytes(self) -> int:
        """What the coded tensors take when pruned alone."""
        return sum(tensor.pruned_bytes for tensor in self.tensors)

    @property
    def shared_bytes(self) -> int:
        """What they take when their values are shared as well."""
        return sum(tensor.shared_bytes for tensor in self.tensors)

    @property
    def graph_bytes(self) -> int:
        """What the file takes beside the coded tensors: the graph, small tensors, the index."""
        return self.packed_bytes - sum(tensor.coded_bytes for tensor in self.tensors)

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than the weights in float32."""
        return self.float32_bytes / self.packed_bytes

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return {
            "source": self.source,
            "format": self.format.lstrip("."),
            "bytes": {
                "model": self.model_bytes,
                "packed": self.packed_bytes,
                "float32": self.float32_bytes,
                "pruned": self.pruned_bytes,
                "shared": self.shared_bytes,
                "coded": sum(tensor.coded_bytes for tensor in self.tensors),
                "graph": self.graph_bytes,
            },
            "ratio": self.ratio,
            "kept": {"tensors": self.kept, "weights": self.kept_weights},
            "tensors": [tensor.to_dict() for tensor in self.tensors],
        }

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__(), width=140)

    def __rich__(self) -> RenderableType:
        right = ["weights", "non-zero", "distinct", "float32", "pruned", "shared", "coded", "bits", "ratio"]
        shown = Section("bytes by stage", ["tensor", "method", *right], right=right)
        for tensor in self.tensors:
            shown.add_row(cell(_short(tensor.name)), tensor.method, *_counts(tensor), *_sizes(tensor))
        rest = f"rest, {self.kept} small ones" if self.kept else "rest"
        weights = sum(tensor.weights for tensor in self.tensors) + self.kept_weights
        total = [*map(bytes_text, (self.float32_bytes, self.pruned_bytes, self.shared_bytes, self.packed_bytes))]
        kept = [str(self.kept_weights), "", "", bytes_text(self.kept_weights * _WEIGHT_BITS // 8), "", ""]
        shown.add_row(rest, "", *kept, bytes_text(self.graph_bytes), "", "")
        bits = f"{8 * self.packed_bytes / weights:.2f}" if weights else ""
        shown.add_row("all", "", f"{weights:,}", "", "", *total, bits, f"{self.ratio:.1f}x")
        return shown


def _short(name: str) -> str:
    """The end of a long name: converters write the whole way to a tensor before it."""
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]


def _counts(tensor: Stage) -> list[str]:
    share = f"{100 * tensor.nonzeros / tensor.weights:.1f} %"
    return [f"{tensor.weights:,}", share, "many" if tensor.distinct is None else str(tensor.distinct)]


def _sizes(tensor: Stage) -> list[str]:
    sizes = (tensor.float32_bytes, tensor.pruned_bytes, tensor.shared_bytes, tensor.coded_bytes)
    return [*map(bytes_text, sizes), f"{tensor.bits_per_weight:.2f}", f"{tensor.ratio:.1f}x"]


def stages_of(packed: Packed, *, source: str | None = None) -> Stages:
    """What a packed model's tensors weigh.

    Raises:
        ModelError: a part of the file is not what was written.
    """
    coded = [name for name, entry in packed.entries.items() if not entry.is_kept]
    kept = [packed.tensor(name).size for name, entry in packed.entries.items() if entry.is_kept]
    return Stages(
        source=source,
        format=packed.suffix,
        model_bytes=packed.model_bytes,
        packed_bytes=packed.nbytes,
        tensors=tuple(_stage(packed, name) for name in coded),
        kept=len(kept),
        kept_weights=sum(kept),
    )


def _stage(packed: Packed, name: str) -> Stage:
    entry, method = packed.entries[name], packed.method(name)
    values = packed.tensor(name).reshape(-1)
    nonzeros = np.flatnonzero(values)
    symbols = symbols_of(values.view(np.uint8), min(values.itemsize, 8), _MOST_SHARED)
    distinct = None if symbols is None else symbols.alphabet
    positions = nonzeros if nonzeros.size < values.size else None
    pruned = _least_bits(values.size, positions, _WEIGHT_BITS)
    shared = pruned
    if distinct is not None:
        book = _WEIGHT_BITS * distinct
        index_bits = max(1, int(np.ceil(np.log2(distinct))))
        shared = min(pruned, book + _least_bits(values.size, positions, index_bits))
    return Stage(
        name=name,
        type=DTYPES[entry.span.dtype].name,
        shape=entry.span.shape,
        method="kept" if method is None else method.name.lower(),
        weights=values.size,
        nonzeros=nonzeros.size,
        distinct=distinct,
        pruned_bytes=-(-pruned // 8),
        shared_bytes=-(-shared // 8),
        coded_bytes=entry.blob_bytes,
    )


def _least_bits(size: int, positions: NDArray[np.int64] | None, bits: int) -> int:
    """Bits of all weights, or of those at positions with the distance to the one before, of as many bits as is best.

    A distance that has more bits is spelled as a zero at the farthest place that can be told, as in the paper.

    Source: Han, Mao, Dally, "Deep Compression", arXiv 1510.00149, section 2 and figure 2.
    """
    dense = size * bits
    if positions is None:
        return dense
    gaps = np.diff(positions, prepend=-1) - 1
    told = (positions.size + int((gaps >> wide).sum()) for wide in _POSITION_BITS)
    return min(dense, *(count * (bits + wide) for count, wide in zip(told, _POSITION_BITS, strict=True)))
