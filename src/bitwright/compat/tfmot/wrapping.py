"""What wraps a layer; and layers, lists of layers and models, with layers wrapped and unwrapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from bitwright.errors import UsageError

Change = Callable[[Any], Any]


class LayerAround(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer around another one, whose shapes and masks it has."""

    def __init__(self, layer: Any, prefix: str, **kwargs: Any) -> None:
        super().__init__(layer, **{"name": f"{prefix}_{layer.name}", **kwargs})
        self.supports_masking = layer.supports_masking

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As the layer has it."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """As the layer has it."""
        return self.layer.compute_mask(inputs, previous_mask)


def changed(given: Any, change: Change, verb: str) -> Any:
    """A layer, each layer of a list, or each layer of a model, changed.

    Args:
        given: keras.Layer, a list of them, or a Sequential or Functional keras.Model.
        change: gives a layer for a layer; a layer that is given back is shared by both models.
        verb: what is done, for errors.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(given, list):
        return [one if isinstance(one, keras.layers.InputLayer) else change(one) for one in given]
    if is_graph(given):
        return _cloned(given, change)
    if isinstance(given, keras.layers.Layer) and not isinstance(given, keras.Model):
        return change(given)
    raise UsageError(
        f"{verb} takes a Sequential or Functional model, a layer or a list of layers, not {type(given).__name__}",
        next="for a subclassed model, wrap the layers that it makes",
    )


def _cloned(model: Any, change: Change) -> Any:
    """A model of the same graph and name, not compiled, its layers changed; models within it likewise."""

    def anew(layer: Any) -> Any:
        if is_graph(layer):
            return _cloned(layer, change)
        return change(layer) if isinstance(layer, keras.layers.Layer) else layer

    was_compiled, model.compiled = model.compiled, False  # else the clone gets the optimizer, with its own step
    try:
        return keras.models.clone_model(model, clone_function=anew)
    finally:
        model.compiled = was_compiled


def copied(model: Any) -> Any:
    """A model with layers and weights of its own.

    Raises:
        UsageError: a layer cannot be made anew.
    """
    try:
        made = _cloned(model, lambda layer: type(layer).from_config(layer.get_config()))
    except (NotImplementedError, TypeError) as error:
        raise UsageError(
            f"a layer cannot be made anew from its configuration: {str(error).strip().splitlines()[0][:200]}",
            where=f"model {model.name!r}",
            next="give its class get_config() and from_config()",
        ) from error
    made.set_weights(model.get_weights())
    return made


def is_graph(given: Any) -> bool:
    """Whether it is a Sequential or Functional model, whose layers are known."""
    return any(cls.__name__ in ("Sequential", "Functional") for cls in type(given).__mro__)
