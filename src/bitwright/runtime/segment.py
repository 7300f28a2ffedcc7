"""A segment: consecutive operators that the engine runs in one call, compiled to an `_engine.Plan`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bitwright import _engine
from bitwright.program.program import Program
from bitwright.program.tensor import Shape, Tensor
from bitwright.runtime.borders import give_borders
from bitwright.runtime.draft import Draft
from bitwright.runtime.fusion import fuse_residuals
from bitwright.runtime.memory import Span, place
from bitwright.runtime.steps.step import Border, Step, Steps
from bitwright.runtime.steps.storage import ITEM_BYTES, TYPES, is_biased, stored

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
        operators: the operator of each step of the plan, by index in the Program; -1 for copies at the border. A
            convolution that takes the next operator with it is that of its step (see fusion.py).
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
    draft = Draft.of(program, operators)
    fuse_residuals(draft, [outside.tensor for outside in outputs])
    direct = _cross_the_border(draft, inputs, outputs)
    give_borders(draft)
    return _build(draft, inputs, outputs, direct, isa=isa, threads=threads)


def _cross_the_border(draft: Draft, inputs: Sequence[Outside], outputs: Sequence[Outside]) -> dict[str, int]:
    """Copies from and to the caller's arrays, except for values that steps read or write there.

    Returns:
        Values that stay in the caller's arrays: root -> index of the array.
    """
    direct: dict[str, int] = {}
    uses = draft.uses()
    before: list[tuple[int, Step]] = []
    for index, outside in enumerate(inputs):
        touched = uses.get(draft.root(outside.tensor), [])
        if _may_stay(draft, outside, [(step, argument) for _, step, argument in touched]):
            direct[outside.tensor] = index
        else:
            before.append((-1, _copy(draft, outside, into=True)))
    after: list[tuple[int, Step]] = []
    for index, outside in enumerate(outputs):
        root = draft.root(outside.tensor)
        touched = uses.get(root, [])
        writes_only = all(argument in step.writes for _, step, argument in touched)
        if (
            touched
            and writes_only
            and root == outside.tensor
            and root not in direct
            and outside.strides is None
            and not is_biased(draft.tensor(root).dtype)
        ):
            direct[root] = len(inputs) + index
        else:
            after.append((-1, _copy(draft, outside, into=False)))
    draft.steps = before + draft.steps + after
    return direct


def _may_stay(draft: Draft, outside: Outside, uses: Iterable[tuple[Step, str]]) -> bool:
    """Whether every reader takes a value where the caller has it."""
    if is_biased(draft.tensor(outside.tensor).dtype):
        return False
    gaps = outside.strides is not None
    return all(argument in (step.anywhere if gaps else step.exact | step.anywhere) for step, argument in uses)


def _outside_name(outside: Outside) -> str:
    return f"{outside.tensor} (of the caller)"


def _copy(draft: Draft, outside: Outside, *, into: bool) -> Step:
    tensor = draft.tensor(outside.tensor)
    name = _outside_name(outside)
    draft.tensors[name] = replace(tensor, name=name, data=None)
    places = {"x": name, "y": tensor.name} if into else {"x": tensor.name, "y": name}
    return Step("copy", places, arguments={"bias": is_biased(tensor.dtype)}, strided=frozenset({"x", "y"}))


def _build(
    draft: Draft,
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
    uses = draft.uses()
    in_arena = [root for root in uses if root not in arrays]
    spans = [
        Span(_bytes(draft.tensor(root), draft.borders.get(root)), uses[root][0][0], uses[root][-1][0])
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
        tensor, root = draft.tensor(name), draft.root(name)
        kind = TYPES[tensor.dtype]
        if draft.is_constant(name):
            assert tensor.data is not None
            return plan.constant(kind, tensor.shape, stored(tensor.data).tobytes())
        if root in arrays:
            given = strides.get(root) or dense_strides(tensor.shape)
            return plan.external(kind, tensor.shape, given, arrays[root])
        border = draft.borders.get(root)
        start, steps_between = _placed(tensor.shape, border)
        return plan.tensor(kind, tensor.shape, steps_between, offset_of[root] + start * ITEM_BYTES[kind])

    for _, step in draft.steps:
        getattr(plan, step.method)(**{a: number(name) for a, name in step.tensors.items()}, **step.arguments)
    return Segment(plan, tuple(inputs), tuple(outputs), tuple(index for index, _ in draft.steps), total)


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
