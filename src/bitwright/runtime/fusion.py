"""Residuals: a convolution's step that joins its result with another tensor, in place of the pair after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bitwright import _engine
from bitwright.runtime.draft import Draft
from bitwright.runtime.steps.step import Step
from bitwright.runtime.steps.storage import TYPES

#: Methods that take a pair. Those of images take any strides, the others none.
_CONVOLUTIONS = ("conv", "fully_connected")


def fuse_residuals(draft: Draft, outputs: Collection[str]) -> None:
    """Each pair and the convolution before it become one step, in the place of the pair.

    Not where anybody else reads the convolution's result, or where the pair broadcasts. Of two convolutions the later
    one takes the pair: its other operand is there then.

    Args:
        draft: without borders and copies yet.
        outputs: values that are read after the segment.
    """
    kept = {draft.root(name) for name in outputs} | draft.aliased()
    uses = draft.uses()
    gone: set[int] = set()
    for index, (_, pair) in enumerate(draft.steps):
        if pair.method != "pair" or not _is_of_one_shape(draft, pair):
            continue
        found = [
            (writer, argument)
            for argument in ("a", "b")
            if (name := pair.tensors[argument]) not in kept
            and (writer := _convolution(uses.get(name, []), argument)) is not None
        ]
        if found:
            writer, argument = max(found)
            operator, convolution = draft.steps[writer]
            draft.steps[index] = (operator, _joined(convolution, pair, argument))
            gone.add(writer)
    draft.steps = [step for index, step in enumerate(draft.steps) if index not in gone]


def _is_of_one_shape(draft: Draft, pair: Step) -> bool:
    first, second, result = (draft.tensor(pair.tensors[argument]) for argument in ("a", "b", "y"))
    return first.shape == second.shape == result.shape and TYPES[result.dtype] == "u8"


def _convolution(uses: list[tuple[int, Step, str]], argument: str) -> int | None:
    """The step of a convolution whose whole result goes to `argument` of a pair and nowhere else; None: it is none."""
    if len(uses) != 2 or uses[1][2] != argument:
        return None
    index, step, written = uses[0]
    is_whole = step.method in _CONVOLUTIONS and written == "y" and "y_first" not in step.arguments
    return index if is_whole else None


def _joined(convolution: Step, pair: Step, argument: str) -> Step:
    """A convolution's step that gives the pair of its result, as operand `argument`, and of the other operand."""
    other = pair.tensors["b" if argument == "a" else "a"]
    arguments: Mapping[str, object] = {
        "pair": _engine.Plan.QuantizedPair(**pair.arguments),  # type: ignore[arg-type]
        "is_first": argument == "a",
    }
    return replace(
        convolution,
        tensors={**convolution.tensors, "y": pair.tensors["y"], "other": other},
        arguments={**convolution.arguments, **arguments},
        strided=convolution.strided | {"other"} if convolution.strided else convolution.strided,
        exact=convolution.exact | {"other"},
    )
