"""Reading: the bytes of a .tflite file -> a Program. The inverse of `write`."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import tflite

from bitwright.errors import BitwrightError, ModelError, UnsupportedOpError
from bitwright.formats.tflite.attributes import read_options
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.schema import BUILTIN_NAMES, BUILTINS, IDENTIFIER, RUNTIME_ENTRY, VERSION
from bitwright.formats.tflite.source import DamagedError, Source
from bitwright.formats.tflite.tensors import Tensors
from bitwright.program.operator import Operator
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify

#: Operators that run another subgraph.
_CALLERS = ("CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_COMPOSITE", "STABLEHLO_CASE", "STABLEHLO_WHILE")
#: What the published classes raise when offsets lead nowhere.
_LEADS_NOWHERE = (struct.error, IndexError, OverflowError, TypeError, ValueError)


def read_tflite(data: bytes | memoryview, *, where: str | None = None) -> Program:
    """The Program that a file spells. Its constants are views of `data`, which must not change.

    Tensors that nothing names are left out; names that are empty or there twice are made unique. `narrow_range` is
    inferred: weights with zero_point 0 and without the lowest value.

    Args:
        data: the whole file: bytes, or a memory map.
        where: what errors call it.

    Raises:
        ModelError: not a .tflite file, or not whole; several subgraphs or signatures; tensors that are not held.
        UnsupportedOpError: custom operators and others outside the vocabulary, all of them with their number.
    """
    view = memoryview(data)
    try:
        program = _program(view)
        verify(program, where=where)
    except BitwrightError as error:
        error.where = error.where or where
        raise
    return program


def _program(data: memoryview) -> Program:
    _check_identifier(data)
    try:
        source = Source(data)
        model = tflite.Model.GetRootAs(data)
        if model.Version() != VERSION:
            raise ModelError(
                f"a .tflite file of schema version {model.Version()}, which is not read",
                next=f"convert the model again: the schema has version {VERSION} since 2017",
            )
        return _Reading(source, model).program()
    except _LEADS_NOWHERE as error:
        raise DamagedError("offsets that lead nowhere") from error


def _check_identifier(data: memoryview) -> None:
    if not len(data):
        raise ModelError("the file is empty", next="copy or download it again")
    if bytes(data[4:8]) != IDENTIFIER:
        lfs = bytes(data[:8]) == b"version "
        what = "a Git LFS pointer, not the model itself" if lfs else "not a .tflite file: no TFL3 at byte 4"
        raise ModelError(what, next="fetch it with `git lfs pull`" if lfs else "check the path")


class _Reading:
    """One file on its way to a Program."""

    def __init__(self, source: Source, model: Any) -> None:
        self._source = source
        self._model = model
        self._kinds = [self._kind_of(code) for code in source.tables(model, "OperatorCodes")]
        self._buffers = source.tables(model, "Buffers")

    def program(self) -> Program:
        signature = self._signature()
        graph = self._subgraph(signature)
        tables = self._source.tables(graph, "Operators")
        self._check_operators(tables)
        inputs = self._source.numbers(graph, "Inputs").tolist()
        outputs = self._source.numbers(graph, "Outputs").tolist()
        calls = [
            (self._source.numbers(table, "Inputs").tolist(), self._source.numbers(table, "Outputs").tolist())
            for table in tables
        ]
        given = {*inputs, *(index for _, results in calls for index in results)}
        used = given | {*outputs, *(index for operands, _ in calls for index in operands if index != -1)}
        tensors = self._source.tables(graph, "Tensors")
        if used and not 0 <= min(used) <= max(used) < len(tensors):
            wrong = next(index for index in sorted(used) if not 0 <= index < len(tensors))
            raise DamagedError(f"{len(tensors)} tensors, and names number {wrong}")
        reader = Tensors(self._source, self._buffers, tensors, used)
        values = reader.read(computed=given)
        ports = [
            tuple(Port(name, reader.names[index]) for name, index in self._ports(signature, side, indices, reader))
            for side, indices in (("Inputs", inputs), ("Outputs", outputs))
        ]
        return Program(
            tensors=values,
            operators=tuple(
                self._operator(number, table, operands, results, reader.names, values)
                for number, (table, (operands, results)) in enumerate(zip(tables, calls, strict=True))
            ),
            inputs=ports[0],
            outputs=ports[1],
            name=self._source.text(graph, "Name") or "main",
            signature=None if signature is None else self._source.text(signature, "SignatureKey"),
            metadata=self._metadata(),
            description=self._source.text(self._model, "Description"),
        )

    def _signature(self) -> Any:
        """The first signature; None without one."""
        signatures = self._source.tables(self._model, "SignatureDefs")
        if len({signature.SubgraphIndex() for signature in signatures}) > 1:
            keys = ", ".join(repr(self._source.text(signature, "SignatureKey")) for signature in signatures)
            raise ModelError(
                f"the model has {len(signatures)} signatures with a subgraph each: {keys}",
                next="convert it again with one of them",
            )
        return signatures[0] if signatures else None

    def _subgraph(self, signature: Any) -> Any:
        """The one subgraph that runs."""
        graphs = self._source.tables(self._model, "Subgraphs")
        number = 0 if signature is None else int(signature.SubgraphIndex())
        if number >= len(graphs):
            raise DamagedError(
                f"{len(graphs)} subgraphs, and a signature for number {number}" if graphs else "no subgraph"
            )
        if len(graphs) == 1:
            return graphs[0]
        callers = Counter(self._kind(table) for table in self._source.tables(graphs[number], "Operators"))
        called = ", ".join(f"{kind} ({callers[kind]})" for kind in _CALLERS if kind in callers)
        if called:
            raise ModelError(
                f"the model has {len(graphs)} subgraphs, which {called} runs; one is read",
                next="convert the model without control flow",
            )
        return graphs[number]

    def _kind(self, table: Any) -> str:
        """An operator's name; `custom <name>` for one outside the schema."""
        index = int(table.OpcodeIndex())
        if index >= len(self._kinds):
            raise DamagedError(f"{len(self._kinds)} operator codes, and names number {index}")
        return self._kinds[index]

    def _kind_of(self, code: Any) -> str:
        number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
        if number == BUILTINS["CUSTOM"]:
            return f"custom {self._source.text(code, 'CustomCode')}"
        return BUILTIN_NAMES.get(number, f"builtin {number}")

    def _check_operators(self, tables: Sequence[Any]) -> None:
        unknown = Counter(kind for kind in map(self._kind, tables) if kind not in ROWS or kind not in DEFINITIONS)
        if unknown:
            raise UnsupportedOpError(
                f"operators that are not read: {', '.join(f'{kind} ({n})' for kind, n in sorted(unknown.items()))}",
                next="convert the model with built-in operators only, or cut these out of it",
            )

    def _operator(
        self,
        number: int,
        table: Any,
        operands: list[int],
        results: list[int],
        names: dict[int, str],
        tensors: dict[str, Tensor],
    ) -> Operator:
        kind = self._kind(table)
        try:
            options = read_options(self._source, table, ROWS[kind].options)
            if table.IntermediatesLength() and any(tensors[names[index]].dtype != "f32" for index in results):
                raise ModelError("has integers between its steps, which are not read", next="keep the LSTM float")
        except DamagedError:
            raise
        except ModelError as error:
            raise ModelError(f"operator {number}, {kind}, {error.what}", next=error.next) from error
        return Operator(
            kind,
            tuple(None if index == -1 else names[index] for index in operands),
            tuple(names[index] for index in results),
            options,
        )

    def _ports(self, signature: Any, side: str, indices: list[int], reader: Tensors) -> Iterator[tuple[str, int]]:
        """The face: names of the signature where it has them, in the order of the subgraph."""
        named: dict[int, list[str]] = {}
        for entry in [] if signature is None else self._source.tables(signature, side):
            named.setdefault(int(entry.TensorIndex()), []).append(self._source.text(entry, "Name"))
        for index in indices:
            names = named.get(index)
            yield (names.pop(0) if names else reader.names[index]), index
        left = sorted(name for names in named.values() for name in names)
        if left:
            raise ModelError(
                f"the signature names {', '.join(map(repr, left))}, which the subgraph's {side.lower()} are without",
                next="convert the model again",
            )

    def _metadata(self) -> dict[str, bytes]:
        found = {}
        for entry in self._source.tables(self._model, "Metadata"):
            name, number = self._source.text(entry, "Name"), int(entry.Buffer())
            if number >= len(self._buffers):
                raise DamagedError(f"{len(self._buffers)} buffers, and metadata in number {number}")
            contents = self._source.contents(self._buffers[number])
            self._source.spend(contents.size)
            if name != RUNTIME_ENTRY:
                found[name] = contents.tobytes()
        return found
