"""Borders: which images lie in memory with padding around them, so that windows slide over both alike."""

from __future__ import annotations

from dataclasses import replace

from bitwright.runtime.draft import Draft
from bitwright.runtime.steps.step import Border, Step
from bitwright.runtime.steps.storage import stored_zero_point

_NO_BORDER = Border()


def give_borders(draft: Draft) -> None:
    """Borders where all who touch an image can live with them; a bordered copy of it where not."""
    aliased = draft.aliased()
    for root, uses in draft.uses().items():
        wanted = _NO_BORDER
        for _, step, argument in uses:
            if argument in step.borders:
                border = step.borders[argument]
                wanted = border if wanted == _NO_BORDER else wanted.union(border)
        if wanted == _NO_BORDER or root in aliased:
            continue
        written = any(argument in step.writes for _, step, argument in uses)
        if written and all(argument in step.strided for _, step, argument in uses):
            draft.borders[root] = wanted
    steps: list[tuple[int, Step]] = []
    copies: dict[tuple[str, Border], str] = {}
    for index, step in draft.steps:
        moved = {}
        for argument, border in step.borders.items():
            name = step.tensors[argument]
            if border == _NO_BORDER or draft.root(name) in draft.borders:
                continue
            copy = copies.get((name, border))
            if copy is None:
                copy = copies[name, border] = f"{name} (border {','.join(map(str, border))})"
                draft.tensors[copy] = replace(draft.tensor(name), name=copy, data=None)
                draft.borders[copy] = border
                steps.append(
                    (index, Step("copy", {"x": name, "y": copy}, arguments={"bias": False}, strided=frozenset("xy")))
                )
            moved[argument] = copy
        steps.append((index, replace(step, tensors={**step.tensors, **moved}) if moved else step))
    draft.steps = steps
    _fill_borders(draft)


def _fill_borders(draft: Draft) -> None:
    """A step before the first that writes an image with a border, which writes the border."""
    steps: list[tuple[int, Step]] = []
    filled: set[str] = set()
    for index, step in draft.steps:
        for argument in step.writes:
            root = draft.root(step.tensors[argument])
            if root in draft.borders and root not in filled:
                filled.add(root)
                arguments = {"value": stored_zero_point(draft.tensor(root)), "border": tuple(draft.borders[root])}
                steps.append(
                    (index, Step("fill_border", {"x": root}, ("x",), arguments=arguments, strided=frozenset("x")))
                )
        steps.append((index, step))
    draft.steps = steps
