"""Reading: the bytes of a .tflite file -> a Program. The inverse of `write`."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from bitwright.errors import BitwrightError, ModelError, UnsupportedOpError
from bitwright.formats.tflite.attributes import OptionsReader
from bitwright.formats.tflite.columns import Columns, contents_of
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.schema import BUILTIN_NAMES, BUILTINS, IDENTIFIER, RUNTIME_ENTRY, VERSION
from bitwright.formats.tflite.source import INT8, INT32, UINT32, DamagedError, Source
from bitwright.formats.tflite.tensors import Tensors
from bitwright.numerics.requantize import Rounding
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Port, Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify

#: The fields of the schema's table Operator that are read.
_CODE, _INPUTS, _OUTPUTS, _OPTIONS_TYPE, _OPTIONS = range(5)
_INTERMEDIATES = 8
#: Operators that run another subgraph.
_CALLERS = ("CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_COMPOSITE", "STABLEHLO_CASE", "STABLEHLO_WHILE")


def read_tflite(data: bytes | memoryview, *, where: str | None = None, rounding: Rounding = "tflite_double") -> Program:
    """The Program that a file spells. Its constants are views of `data`, which must not change.

    Tensors that nothing names are left out; names that are empty or there twice are made unique. `narrow_range` is
    inferred: weights with zero_point 0 and without the lowest value.

    Args:
        data: the whole file: bytes, or a memory map.
        where: what errors call it.
        rounding: the Program's: files do not say it.

    Raises:
        ModelError: not a .tflite file, or not whole; several subgraphs or signatures; tensors that are not held.
        UnsupportedOpError: custom operators and others outside the vocabulary, all of them with their number.
    """
    view = memoryview(data)
    try:
        program = _program(view, rounding)
        verify(program, where=where)
    except BitwrightError as error:
        error.where = error.where or where
        raise
    return program


def _program(data: memoryview, rounding: Rounding) -> Program:
    _check_identifier(data)
    try:
        return _Reading(Source(data)).program(rounding)
    except struct.error as error:
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

    def __init__(self, source: Source) -> None:
        model = source.root()
        version, codes, graphs, self._description, buffers, _, metadata, signatures = source.fields_of(model, 8)
        number = source.number(model, version, UINT32)
        if number != VERSION:
            raise ModelError(
                f"a .tflite file of schema version {number}, which is not read",
                next=f"convert the model again: the schema has version {VERSION} since 2017",
            )
        self._source = source
        self._model = model
        self._kinds = [self._kind_of(code) for code in source.tables(model, codes).tolist()]
        self._buffers = source.tables(model, buffers)
        self._graphs: list[int] = source.tables(model, graphs).tolist()
        self._signatures = [_Signature(source, table) for table in source.tables(model, signatures).tolist()]
        self._entries = Columns(source, source.tables(model, metadata), 2)

    def program(self, rounding: Rounding) -> Program:
        source, signature = self._source, self._signature()
        graph = self._subgraph(signature)
        tensors, inputs_field, outputs_field, operators_field, name = source.fields_of(graph, 5)
        operators = Columns(source, source.tables(graph, operators_field), 9)
        kinds = self._kinds_of(operators)
        _check_kinds(kinds)
        inputs, outputs = source.integers(graph, inputs_field), source.integers(graph, outputs_field)
        operands, results = operators.integers(_INPUTS), operators.integers(_OUTPUTS)
        given = {*inputs, *chain.from_iterable(results)}
        used = given.union(outputs, (index for index in chain.from_iterable(operands) if index != -1))
        tables = source.tables(graph, tensors)
        if used and not 0 <= min(used) <= max(used) < len(tables):
            wrong = next(index for index in sorted(used) if not 0 <= index < len(tables))
            raise DamagedError(f"{len(tables)} tensors, and names number {wrong}")
        reader = Tensors(source, self._buffers, tables, used)
        names, values = reader.names, reader.read(computed=given)
        options = self._options(operators, kinds, [[values[names[i]] for i in made] for made in results])
        ports = [
            tuple(Port(port, names[index]) for port, index in _ports(signature, side, indices, names))
            for side, indices in (("inputs", inputs), ("outputs", outputs))
        ]
        return Program(
            tensors=values,
            operators=tuple(
                [
                    Operator(
                        kind,
                        tuple([None if i == -1 else names[i] for i in read]),
                        tuple([names[i] for i in made]),
                        chosen,
                    )
                    for kind, read, made, chosen in zip(kinds, operands, results, options, strict=True)
                ]
            ),
            inputs=ports[0],
            outputs=ports[1],
            name=source.text(graph, name) or "main",
            rounding=rounding,
            signature=None if signature is None else signature.key,
            metadata=self._metadata(),
            description=source.text(self._model, self._description),
        )

    def _signature(self) -> _Signature | None:
        """The first signature; None without one."""
        signatures = self._signatures
        if len({signature.subgraph for signature in signatures}) > 1:
            keys = ", ".join(repr(signature.key) for signature in signatures)
            raise ModelError(
                f"the model has {len(signatures)} signatures with a subgraph each: {keys}",
                next="convert it again with one of them",
            )
        return signatures[0] if signatures else None

    def _subgraph(self, signature: _Signature | None) -> int:
        """The place of the one subgraph that runs."""
        graphs = self._graphs
        number = 0 if signature is None else signature.subgraph
        if number >= len(graphs):
            raise DamagedError(
                f"{len(graphs)} subgraphs, and a signature for number {number}" if graphs else "no subgraph"
            )
        if len(graphs) == 1:
            return graphs[0]
        operators = self._source.tables(graphs[number], self._source.fields_of(graphs[number], 4)[3])
        callers = Counter(self._kinds_of(Columns(self._source, operators, 1)))
        called = ", ".join(f"{kind} ({callers[kind]})" for kind in _CALLERS if kind in callers)
        if called:
            raise ModelError(
                f"the model has {len(graphs)} subgraphs, which {called} runs; one is read",
                next="convert the model without control flow",
            )
        return graphs[number]

    def _kinds_of(self, operators: Columns) -> list[str]:
        """The names of operators."""
        codes = operators.numbers(_CODE, "<u4")
        if codes and max(codes) >= len(self._kinds):
            raise DamagedError(f"{len(self._kinds)} operator codes, and names number {max(codes)}")
        return [self._kinds[code] for code in codes]

    def _kind_of(self, code: int) -> str:
        """The name of an operator code; `custom <name>` for one outside the schema.

        Source: LiteRT tflite/schema/schema_utils.cc, GetBuiltinCode.
        """
        deprecated, custom, _, builtin = self._source.fields_of(code, 4)
        number = max(self._source.number(code, builtin, INT32), self._source.number(code, deprecated, INT8))
        if number == BUILTINS["CUSTOM"]:
            return f"custom {self._source.text(code, custom)}"
        return BUILTIN_NAMES.get(number, f"builtin {number}")

    def _options(self, operators: Columns, kinds: Sequence[str], results: Sequence[list[Tensor]]) -> list[Options]:
        """The options of operators with these results."""
        reader, found, number = OptionsReader(self._source), [], 0
        members, tables = operators.numbers(_OPTIONS_TYPE, "<u1"), operators.tables(_OPTIONS) * operators.has(_OPTIONS)
        intermediates = operators.vectors(_INTERMEDIATES, 4)[1].tolist()
        try:
            for number, (kind, member, table, made, nbytes) in enumerate(  # noqa: B007, the error tells it
                zip(kinds, members, tables.tolist(), results, intermediates, strict=True)
            ):
                found.append(reader.read(ROWS[kind].options, member, table))
                if nbytes and any(tensor.dtype != "f32" for tensor in made):
                    raise ModelError("has integers between its steps, which are not read", next="keep the LSTM float")
        except DamagedError:
            raise
        except ModelError as error:
            raise ModelError(f"operator {number}, {kinds[number]}, {error.what}", next=error.next) from error
        return found

    def _metadata(self) -> dict[str, bytes]:
        source, found = self._source, {}
        numbers = self._entries.numbers(1, "<u4")
        if numbers and max(numbers) >= len(self._buffers):
            raise DamagedError(f"{len(self._buffers)} buffers, and metadata in number {max(numbers)}")
        contents = contents_of(source, self._buffers[np.array(numbers, np.int64)])
        for name, (start, size) in zip(self._entries.texts(0), contents, strict=True):
            source.spend(size)
            if name != RUNTIME_ENTRY:
                found[name] = bytes(source.data[start : start + size])
        return found


class _Signature:
    """Names that callers use: of a subgraph, its inputs and its outputs."""

    def __init__(self, source: Source, table: int) -> None:
        inputs, outputs, key, _, subgraph = source.fields_of(table, 5)
        self.key: str = source.text(table, key)
        self.subgraph: int = source.number(table, subgraph, UINT32)
        self.sides = {"inputs": _entries(source, table, inputs), "outputs": _entries(source, table, outputs)}


def _entries(source: Source, signature: int, field: int) -> list[tuple[int, str]]:
    """The tensor and the name of each port that a signature names."""
    found = []
    for entry in source.tables(signature, field).tolist():
        name, tensor = source.fields_of(entry, 2)
        found.append((source.number(entry, tensor, UINT32), source.text(entry, name)))
    return found


def _check_kinds(kinds: Sequence[str]) -> None:
    unknown = Counter(kind for kind in kinds if kind not in ROWS or kind not in DEFINITIONS)
    if unknown:
        raise UnsupportedOpError(
            f"operators that are not read: {', '.join(f'{kind} ({n})' for kind, n in sorted(unknown.items()))}",
            next="convert the model with built-in operators only, or cut these out of it",
        )


def _ports(
    signature: _Signature | None, side: str, indices: Sequence[int], names: Mapping[int, str]
) -> Iterator[tuple[str, int]]:
    """The face: names of the signature where it has them, in the order of the subgraph."""
    named: dict[int, list[str]] = {}
    for index, name in [] if signature is None else signature.sides[side]:
        named.setdefault(index, []).append(name)
    for index in indices:
        given = named.get(index)
        yield (given.pop(0) if given else names[index]), index
    left = sorted(name for names in named.values() for name in names)
    if left:
        raise ModelError(
            f"the signature names {', '.join(map(repr, left))}, which the subgraph's {side} are without",
            next="convert the model again",
        )
