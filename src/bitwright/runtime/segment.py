"""A segment: consecutive operators that the engine runs in one call, compiled to an `_engine.Plan`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bitwright import _engine
from bitwright.program.program import Program
from bitwright.program.tensor import Shape, Tensor
from bitwright.runtime.memory import Span, place
from bitwright.runtime.steps.step import Alias, Border, Step, Steps
from bitwright.runtime.steps.storage import ITEM_BYTES, TYPES, is_biased, stored, stored_zero_point

Strides = tuple[int, ...]


@dataclass(frozen=True)
class Outside:
    """A tensor that comes from or goes to an array of the caller's.

    Args:
        tensor: its name.
        strides: in elements, of the array; None where it lies without gaps in the tensor's own order.
    """

    tensor: str
    strides: Strides | None = None


@dataclass
class Segment:
    """A compiled run of operators.

    Args:
        plan: takes arrays of `inputs`, then of `outputs`.
        inputs, outputs: in order.
        operators: the operator of each step of the plan, by index in the Program; -1 for copies at the border.
        arena_bytes: of one run.
    """

    plan: _engine.Plan
    inputs: tuple[Outside, ...]
    outputs: tuple[Outside, ...]
    operators: tuple[int, ...]
    arena_bytes: int


def dense_strides(shape: Sequence[int]) -> Strides:
    """Strides of elements without gaps.

    >>> dense_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@dataclass
class _Compiling:
    """Values of one segment on their way to a plan."""

    program: Program
    steps: list[tuple[int, Step]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)  # alias -> what it is another name of
    borders: dict[str, Border] = field(default_factory=dict)
    values: dict[str, str | None] = field(default_factory=dict)  # what `uses` found: roots, None for constants

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else self.program.tensors[name]

    def root(self, name: str) -> str:
        while name in self.roots:
            name = self.roots[name]
        return name

    def is_constant(self, name: str) -> bool:
        tensor = self.tensor(name)
        return tensor.data is not None and not tensor.variable

    def uses(self) -> dict[str, list[tuple[int, Step, str]]]:
        """Where each value that is no constant is read or written, by root: (index of the step, step, argument)."""
        found: dict[str, list[tuple[int, Step, str]]] = {}
        values = self.values
        for index, (_, step) in enumerate(self.steps):
            for argument, name in step.tensors.items():
                if name not in values:
                    values[name] = None if self.is_constant(name) else self.root(name)
                root = values[name]
                if root is not None:
                    found.setdefault(root, []).append((index, step, argument))
        return found


def compile_segment(
    program: Program,
    operators: Sequence[tuple[int, Steps]],
    inputs: Sequence[Outside],
    outputs: Sequence[Outside],
    *,
    isa: str,
    threads: int,
) -> Segment:
    """A plan for consecutive operators.

    Args:
        program: whose operators they are.
        operators: (index, steps) of each.
        inputs: values from before that they read.
        outputs: values of theirs that are read after.
        isa: the best instruction set that kernels may use.
        threads: that divide each step.
    """
    work = _Compiling(program)
    for index, steps in operators:
        for step in steps:
            if isinstance(step, Alias):
                work.roots[step.name] = step.of
            else:
                work.tensors |= {tensor.name: tensor for tensor in step.made}
                work.steps.append((index, step))
    direct = _cross_the_border(work, inputs, outputs)
    _give_borders(work)
    return _build(work, inputs, outputs, direct, isa=isa, threads=threads)


def _cross_the_border(work: _Compiling, inputs: Sequence[Outside], outputs: Sequence[Outside]) -> dict[str, int]:
    """Copies from and to the caller's arrays, except for values that steps read or write there.

    Returns:
        Values that stay in the caller's arrays: root -> index of the array.
    """
    direct: dict[str, int] = {}
    uses = work.uses()
    before: list[tuple[int, Step]] = []
    for index, outside in enumerate(inputs):
        touched = uses.get(work.root(outside.tensor), [])
        if _may_stay(work, outside, [(step, argument) for _, step, argument in touched]):
            direct[outside.tensor] = index
        else:
            before.append((-1, _copy(work, outside, into=True)))
    after: list[tuple[int, Step]] = []
    for index, outside in enumerate(outputs):
        root = work.root(outside.tensor)
        touched = uses.get(root, [])
        writes_only = all(argument in step.writes for _, step, argument in touched)
        if (
            touched
            and writes_only
            and root == outside.tensor
            and root not in direct
            and outside.strides is None
            and not is_biased(work.tensor(root).dtype)
        ):
            direct[root] = len(inputs) + index
        else:
            after.append((-1, _copy(work, outside, into=False)))
    work.steps = before + work.steps + after
    return direct


def _may_stay(work: _Compiling, outside: Outside, uses: Iterable[tuple[Step, str]]) -> bool:
    """Whether every reader takes a value where the caller has it."""
    if is_biased(work.tensor(outside.tensor).dtype):
        return False
    gaps = outside.strides is not None
    return all(argument in (step.anywhere if gaps else step.exact | step.anywhere) for step, argument in uses)


def _outside_name(outside: Outside) -> str:
    return f"{outside.tensor} (of the caller)"


def _copy(work: _Compiling, outside: Outside, *, into: bool) -> Step:
    tensor = work.tensor(outside.tensor)
    name = _outside_name(outside)
    work.tensors[name] = replace(tensor, name=name, data=None)
    places = {"x": name, "y": tensor.name} if into else {"x": tensor.name, "y": name}
    return Step("copy", places, arguments={"bias": is_biased(tensor.dtype)}, strided=frozenset({"x", "y"}))


_NO_BORDER = Border()


def _give_borders(work: _Compiling) -> None:
    """Borders where all who touch an image can live with them; a bordered copy of it where not."""
    aliased = {work.root(alias) for alias in work.roots}
    for root, uses in work.uses().items():
        wanted = _NO_BORDER
        for _, step, argument in uses:
            if argument in step.borders:
                border = step.borders[argument]
                wanted = border if wanted == _NO_BORDER else wanted.union(border)
        if wanted == _NO_BORDER or root in aliased:
            continue
        written = any(argument in step.writes for _, step, argument in uses)
        if written and all(argument in step.strided for _, step, argument in uses):
            work.borders[root] = wanted
    steps: list[tuple[int, Step]] = []
    copies: dict[tuple[str, Border], str] = {}
    for index, step in work.steps:
        moved = {}
        for argument, border in step.borders.items():
            name = step.tensors[argument]
            if border == _NO_BORDER or work.root(name) in work.borders:
                continue
            copy = copies.get((name, border))
            if copy is None:
                copy = copies[name, border] = f"{name} (border {','.join(map(str, border))})"
                work.tensors[copy] = replace(work.tensor(name), name=copy, data=None)
                work.borders[copy] = border
                steps.append(
                    (index, Step("copy", {"x": name, "y": copy}, arguments={"bias": False}, strided=frozenset("xy")))
                )
            moved[argument] = copy
        steps.append((index, replace(step, tensors={**step.tensors, **moved}) if moved else step))
    work.steps = steps
    _fill_borders(work)


def _fill_borders(work: _Compiling) -> None:
    """A step before the first that writes an image with a border, which writes the border."""
    steps: list[tuple[int, Step]] = []
    filled: set[str] = set()
    for index, step in work.steps:
        for argument in step.writes:
            root = work.root(step.tensors[argument])
            if root in work.borders and root not in filled:
                filled.add(root)
                arguments = {"value": stored_zero_point(work.tensor(root)), "border": tuple(work.borders[root])}
                steps.append(
                    (index, Step("fill_border", {"x": root}, ("x",), arguments=arguments, strided=frozenset("x")))
                )
        steps.append((index, step))
    work.steps = steps


def _build(
    work: _Compiling,
    inputs: Sequence[Outside],
    outputs: Sequence[Outside],
    direct: Mapping[str, int],
    *,
    isa: str,
    threads: int,
) -> Segment:
    arrays = {_outside_name(outside): index for index, outside in enumerate((*inputs, *outputs))} | dict(direct)
    strides = {_outside_name(outside): outside.strides for outside in (*inputs, *outputs)} | {
        outside.tensor: outside.strides for outside in inputs
    }
    uses = work.uses()
    in_arena = [root for root in uses if root not in arrays]
    spans = [
        Span(_bytes(work.tensor(root), work.borders.get(root)), uses[root][0][0], uses[root][-1][0])
        for root in in_arena
    ]
    offsets, total = place(spans)
    offset_of = dict(zip(in_arena, offsets, strict=True))
    plan = _engine.Plan(isa, threads, total)
    numbers: dict[str, int] = {}

    def number(name: str) -> int:
        if name not in numbers:
            numbers[name] = _add(name)
        return numbers[name]

    def _add(name: str) -> int:
        tensor, root = work.tensor(name), work.root(name)
        kind = TYPES[tensor.dtype]
        if work.is_constant(name):
            assert tensor.data is not None
            return plan.constant(kind, tensor.shape, stored(tensor.data).tobytes())
        if root in arrays:
            given = strides.get(root) or dense_strides(tensor.shape)
            return plan.external(kind, tensor.shape, given, arrays[root])
        border = work.borders.get(root)
        start, steps_between = _placed(tensor.shape, border)
        return plan.tensor(kind, tensor.shape, steps_between, offset_of[root] + start * ITEM_BYTES[kind])

    for _, step in work.steps:
        getattr(plan, step.method)(**{a: number(name) for a, name in step.tensors.items()}, **step.arguments)
    return Segment(plan, tuple(inputs), tuple(outputs), tuple(index for index, _ in work.steps), total)


def _placed(shape: Shape, border: Border | None) -> tuple[int, Strides]:
    """Where element 0 lies, and the strides, in elements."""
    if border is None:
        return 0, dense_strides(shape)
    n, h, w, c = shape
    around = (n, border.top + h + border.bottom, border.left + w + border.right, c)
    strides = dense_strides(around)
    return border.top * strides[1] + border.left * strides[2], strides


def _bytes(tensor: Tensor, border: Border | None) -> int:
    elements = math.prod(tensor.shape)
    if border is not None:
        n, h, w, c = tensor.shape
        elements = n * (border.top + h + border.bottom) * (border.left + w + border.right) * c
    return elements * ITEM_BYTES[TYPES[tensor.dtype]]
