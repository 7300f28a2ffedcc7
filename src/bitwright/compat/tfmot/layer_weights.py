"""The weights of a Keras layer that are pruned and clustered, and how each lies in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.training.weights import Layout

_KERNEL = ("kernel",)
_RECURRENT = ("kernel", "recurrent_kernel")
#: Keras's layer -> its variables. What has others beside these (normalizations, depthwise kernels) keeps them.
_VARIABLES = {
    "Conv1D": _KERNEL,
    "Conv2D": _KERNEL,
    "Conv3D": _KERNEL,
    "Conv1DTranspose": _KERNEL,
    "Conv2DTranspose": _KERNEL,
    "Conv3DTranspose": _KERNEL,
    "Dense": _KERNEL,
    "Embedding": ("embeddings",),
    "EinsumDense": _KERNEL,
    "GRUCell": _RECURRENT,
    "LSTMCell": _RECURRENT,
    "SeparableConv1D": ("pointwise_kernel",),
    "SeparableConv2D": ("pointwise_kernel",),
    "SimpleRNNCell": _RECURRENT,
}


@dataclass(frozen=True)
class LayerWeight:
    """One weight.

    Args:
        name: of it, unique in its layer, without slashes.
        variable: keras.Variable.
        kind: the Keras layer that owns it, "" for a layer of the user's own.
    """

    name: str
    variable: Any
    kind: str

    @property
    def shape(self) -> tuple[int, ...]:
        """As Keras stores it: [kernel..., inputs, outputs]."""
        return tuple(int(size) for size in self.variable.shape)

    def layout(self) -> Layout:
        """As [outputs, inputs, kernel...]."""
        from bitwright.training.weights import Layout

        last = len(self.shape) - 1
        if last < 1:
            return Layout(self.shape, self.shape, tuple(range(last + 1)), rows=1)
        outputs, inputs = (last - 1, last) if "Transpose" in self.kind else (last, last - 1)
        return Layout(self.shape, self.shape, (outputs, inputs, *range(last - 1)), rows=1)


def weights_of(layer: Any, own: str) -> list[LayerWeight]:
    """The weights of a built layer and of the layers in it.

    Args:
        layer: keras.Layer.
        own: the method by which layers of the user's own name their variables: `get_prunable_weights` or
            `get_clusterable_weights`.

    Raises:
        UsageError: a layer of the user's own has variables and not that method.
    """
    found: list[LayerWeight] = []
    taken: set[int] = set()
    for part in layer._flatten_layers():
        told: Callable[[], Sequence[Any]] | None = getattr(part, own, None)
        kind = _keras_class(part)
        if told is not None:
            variables, kind = [one[-1] if isinstance(one, tuple) else one for one in told()], ""
        elif kind is None:
            if part._trainable_variables:
                raise UsageError(
                    f"layer {part.name!r} is of the class {type(part).__name__}, whose weights are not known here",
                    where=f"layer {layer.name!r}",
                    next=f"give the class a method {own}(), or leave the layer out: clone_model with a clone_function",
                )
            continue
        else:
            variables = [getattr(part, name) for name in _VARIABLES.get(kind, ())]
        for variable in variables:
            if id(variable) not in taken:
                taken.add(id(variable))
                found.append(LayerWeight(f"{variable.name}_{len(found)}", variable, kind or ""))
    return found


def _keras_class(layer: Any) -> str | None:
    """The name of the Keras class that a layer is of; None for a class of the user's own."""
    cls = type(layer)
    return str(cls.__name__) if cls.__module__.split(".")[0] in ("keras", "bitwright") else None
