"""Source: where a converter takes its model from, and how its samples reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnx_ir as ir

from bitwright.api import load
from bitwright.errors import SampleError, UsageError
from bitwright.model import Model


@dataclass(frozen=True)
class Source:
    """What `bitwright.load` is given.

    Args:
        what: a path or an object.
        options: keywords of `load`; those that are empty are not given.
        shapes: of inputs, by name, in place of the model's own.
    """

    what: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int] | None] = field(default_factory=dict)

    def load(self) -> Model:
        """The model.

        Raises:
            ModelError: it cannot be read.
            UsageError: a shape for an input that does not exist, or of another rank.
        """
        given = {name: value for name, value in self.options.items() if value is not None and value != ()}
        model = load(self.what, **given)
        shapes = {name.removesuffix(":0"): shape for name, shape in self.shapes.items() if shape is not None}
        return with_shapes(model, shapes) if shapes else model


def with_shapes(model: Model, shapes: Mapping[str, Sequence[int]]) -> Model:
    """A model whose inputs have other shapes: free dimensions are given numbers.

    Raises:
        UsageError: an input that does not exist, or a shape that does not fit its own.
    """
    graph = model.graph.clone()
    inputs = {str(value.name): value for value in graph.graph.inputs}
    for name, shape in shapes.items():
        value = inputs.get(name)
        if value is None:
            raise UsageError(f"there is no input {name!r}", next=f"the inputs are {', '.join(inputs)}")
        own = (
            [d if isinstance(d, int) else None for d in value.shape] if value.shape is not None else [None] * len(shape)
        )
        if len(own) != len(shape) or any(have not in (None, want) for have, want in zip(own, shape, strict=False)):
            raise UsageError(
                f"input {name!r} is {['?' if d is None else d for d in own]}, which {list(shape)} does not fit",
                next="give numbers for the dimensions that are free",
            )
        value.shape = ir.Shape([int(d) for d in shape])
    for value in (v for node in graph.graph for v in node.outputs):
        if value.shape is not None and not all(isinstance(d, int) for d in value.shape):
            value.shape = None  # it is inferred again
    return replace(model, graph=graph, file_program=None)


def each(samples: Any) -> Iterator[Any]:
    """One after another.

    Raises:
        SampleError: there is nothing to go through, as where a function returns None for it does not yield.
    """
    try:
        return iter(samples)
    except TypeError as error:
        raise SampleError(
            f"samples cannot be read from {type(samples).__name__}",
            where="the representative dataset",
            next="give a function that yields lists of input arrays",
        ) from error


def samples_of(dataset: Any) -> Any:
    """What `calibration=` takes, of a representative_dataset: ours, TensorFlow's, a function, or samples themselves."""
    given = getattr(dataset, "input_gen", dataset)
    return _plain(given) if callable(given) else given


def _plain(function: Callable[[], Any]) -> Callable[[], Iterator[Any]]:
    """The samples of a function; those that name a signature without its name."""

    def stream() -> Iterator[Any]:
        for sample in each(function()):
            named = isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str)
            yield sample[1] if named else sample

    return stream
