"""Recipes of ai-edge-quantizer: its JSON, for the nodes of one model, as a Recipe.

Its entries name TFLite operators and match the names of tensors, so they are resolved on the model: an entry becomes
one of the names of the nodes that it holds for. A node stands for the operator that it is lowered to; a Relu or Clip
right behind one is part of it, as it is in the file. Names are the node's own and its results'.

Source: ai-edge-quantizer 0.10, recipe_manager.py and qtyping.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.compat.ai_edge_quantizer.entries import ANY, Asked, understood
from bitwright.compat.ai_edge_quantizer.operators import operators_of
from bitwright.errors import RecipeError

if TYPE_CHECKING:
    from bitwright.quantization.recipe import Recipe

__all__ = ["is_recipe", "to_recipe"]


def is_recipe(text: str) -> bool:
    """Whether a text is a recipe of ai-edge-quantizer's, rather than one of our own, or none."""
    try:
        told = json.loads(text)
    except ValueError:
        return False
    entries = told if isinstance(told, list) else []
    return any(isinstance(entry, dict) and {"algorithm_key", "op_config", "regex"} & set(entry) for entry in entries)


def to_recipe(source: str | Sequence[Mapping[str, Any]], model: Any) -> Recipe:
    """The Recipe that a recipe of ai-edge-quantizer's asks for on a model.

    Later entries win. One for every operator takes the place of those before it with the same regex; entries that
    quantize weights alone hold for what has weights.

    Args:
        source: JSON text, or the list of entries that the package's functions return.
        model: a Model, or what `bitwright.load` takes.

    Raises:
        RecipeError: what cannot be expressed, by name.
    """
    import bitwright as bw
    from bitwright.quantization.recipe import Entry, Recipe
    from bitwright.transforms.pipeline import prepare

    scopes: dict[str, dict[str, Asked]] = {}
    for position, entry in enumerate(_entries(source)):
        asked = understood(entry, f"entry {position + 1} of the recipe")
        if asked is None:
            continue
        by_operation = scopes.setdefault(asked.regex, {})
        if asked.operation == ANY:
            by_operation.clear()
        by_operation[asked.operation] = asked
    operators = operators_of(prepare(bw.load(model).graph).graph)
    entries = []
    for asked in (one for by_operation in scopes.values() for one in by_operation.values()):
        held = [operator for operator in operators if asked.holds_for(operator)]
        if len(held) == len(operators):
            entries.append(Entry(".*", ANY, asked.how))
        elif held:
            names = "|".join(re.escape(name) for operator in held for name in operator.names)
            entries.append(Entry(rf"^(?:{names})\Z", ANY, asked.how))
        else:  # no node has such an operator, so that the report names the entry
            entries.append(Entry(asked.regex, f"{asked.operation} (TFLite)", asked.how))
    return Recipe(tuple(entries))


def _entries(source: str | Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    try:
        told = json.loads(source) if isinstance(source, str) else source
    except ValueError as error:
        raise RecipeError(f"the recipe is not JSON: {error}", next="give a list of entries") from error
    if isinstance(told, Mapping):
        raise RecipeError("a recipe of several models is not read", next=f"give the list of one of {', '.join(told)}")
    if not isinstance(told, Sequence) or not all(isinstance(entry, Mapping) for entry in told):
        raise RecipeError(
            "a recipe is a list of entries", next='[{"regex": ".*", "operation": "*", "algorithm_key": ..., ...}]'
        )
    return told
