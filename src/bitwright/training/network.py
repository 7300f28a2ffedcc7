"""Network: a graph as a torch module: the differentiable executor, with fake quantization where a plan has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import onnx_ir as ir
import torch
from torch import Tensor, distributed, nn

from bitwright.errors import UsageError
from bitwright.graph.constants import array_of
from bitwright.training.placement import Placement
from bitwright.training.places import Place, hold, key_of
from bitwright.training.quantizers import ActivationQuantizer, WeightQuantizer, with_all_scales
from bitwright.training.steps import make_steps, quantized_name, steps_name, trained_constants


class Network(nn.Module):
    """A graph that trains. Made by `prepare_qat`, `prune_low_magnitude`, `cluster_weights` and `trainable`.

    Its parameters have the names of the graph's constants; forward takes the graph's inputs, in order or by name, and
    gives its output, or a tuple of them.

    Args:
        graph: prepared, with normalizations that training folds (`prepare(keep_trainable=True)`).
        source: the file it was read from.
        teacher: the float graph that it is to learn from, where that is another one.
    """

    def __init__(self, graph: ir.Model, source: str | None = None, *, teacher: ir.Model | None = None) -> None:
        super().__init__()
        self._held = _Held(graph, source, graph if teacher is None else teacher)
        #: What pruning and clustering make of a constant before anything reads it, by name; in this order.
        self._shared = nn.ModuleDict()
        self._masks = nn.ModuleDict()
        #: Each has `next_step(network)`, which renews masks before a training step.
        self._pruners = nn.ModuleList()
        self._weight_quantizers = nn.ModuleDict()
        self._activation_quantizers = nn.ModuleDict()
        self._placement: Placement | None = None
        self._delay = 0
        #: Whether normalizations use the statistics of the batch, and are folded with them corrected.
        self._batch_statistics = True
        self.register_buffer("_steps_done", torch.tensor(0))
        self._steps = make_steps(graph, None)
        self._places: dict[str, Place] = {}
        trained = trained_constants(graph)
        for value in graph.graph.initializers.values():
            array, name = array_of(value), str(value.name)
            if array is not None and array.dtype.kind not in "OSU":
                self._places[name] = hold(self, name, torch.tensor(array), trained=name in trained)

    # What it is

    @property
    def graph(self) -> ir.Model:
        """The graph as it was made from; `written` has what was trained since."""
        return self._held.graph

    @property
    def source(self) -> str | None:
        """The file it was read from."""
        return self._held.source

    @property
    def teacher(self) -> ir.Model:
        """The float graph that it came from, as it was."""
        return self._held.teacher

    @property
    def placement(self) -> Placement | None:
        """How it is quantized; None while it trains as floats."""
        return self._placement

    @property
    def input_names(self) -> list[str]:
        """The inputs in order."""
        return [str(v.name) for v in self.graph.graph.inputs]

    def weight_names(self) -> list[str]:
        """The weights of convolutions, products and recurrent layers, in order of execution."""
        return list(dict.fromkeys(name for step in self._steps for name in step.weight_names))

    @property
    def constants(self) -> Iterable[str]:
        """The constants that it holds."""
        return self._places.keys()

    def place(self, name: str) -> Place:
        """Where a constant is held.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self._places:
            raise UsageError(f"there is no constant {name!r}", next=f"one of {', '.join(list(self._places)[:8])}, ...")
        return self._places[name]

    def tensor(self, name: str) -> Tensor:
        """A constant as the graph reads it: its weights shared and masked."""
        shared, key = self._shared, key_of(name)
        made: Tensor = shared[key]() if key in shared else self._places[name].tensor
        return self._masks[key](made) if key in self._masks else made

    def quantizers(self) -> Iterable[tuple[str, ActivationQuantizer]]:
        """The activation quantizers, each with the name of the value whose range it follows."""
        for name in () if self._placement is None else self._placement.sources:
            yield name, self.activation_quantizer(name)

    def activation_quantizer(self, source: str) -> ActivationQuantizer:
        """The quantizer that follows the range of a value."""
        found = self._activation_quantizers[key_of(source)]
        assert isinstance(found, ActivationQuantizer)
        return found

    def quantizer_of(self, value: str) -> ActivationQuantizer:
        """The quantizer of a value that the plan quantizes."""
        assert self._placement is not None
        return self.activation_quantizer(self._placement.activations[value])

    def weight_quantizer(self, name: str) -> WeightQuantizer:
        """The quantizer of a weight, by its name in the plan."""
        found = self._weight_quantizers[key_of(name)]
        assert isinstance(found, WeightQuantizer)
        return found

    def mask(self, name: str, mask: nn.Module | None) -> None:
        """Read a constant through a mask from now on; None: as it is.

        Args:
            name: of the constant.
            mask: gives the masked tensor for a tensor.
        """
        self.place(name)
        if mask is None:
            self._masks.pop(key_of(name))
        else:
            self._masks[key_of(name)] = mask

    def mask_of(self, name: str) -> nn.Module | None:
        """The mask that a constant is read through."""
        return self._masks._modules.get(key_of(name))

    def share(self, name: str, shared: nn.Module | None) -> None:
        """Take a constant from shared values from now on; it is no parameter any more.

        Args:
            name: of the constant.
            shared: gives the tensor when it is called; None: the constant is a parameter again, with the values that it
                shared.
        """
        place = self.place(name)
        if shared is not None:
            if place.is_parameter():
                place.freeze()
            self._shared[key_of(name)] = shared
        elif key_of(name) in self._shared:
            with torch.no_grad():
                place.tensor.copy_(self._shared.pop(key_of(name))())
            place.thaw()

    def shared(self, name: str) -> nn.Module | None:
        """What gives a constant its shared values."""
        return self._shared._modules.get(key_of(name))

    def nodes_of_shared(self) -> list[str]:
        """The nodes whose weights share values over the whole tensor."""
        names = {name for name in self._places if (found := self.shared(name)) is not None and found.layout is None}
        return [step.node for step in self._steps if names.intersection(step.weight_names)]

    @property
    def pruners(self) -> nn.ModuleList:
        """What renews masks before each training step: each has `next_step(network)`."""
        return self._pruners

    # How it trains

    def quantize_as(self, placement: Placement, *, delay: int = 0) -> None:
        """Quantize from now on.

        Args:
            placement: where, with which quantizers.
            delay: steps of training before that, whose ranges are watched.
        """
        self._placement, self._delay = placement, delay
        for name, weight in placement.weight_quantizers().items():
            self._weight_quantizers[key_of(name)] = weight
        for name, activation in placement.activation_quantizers().items():
            self._activation_quantizers[key_of(name)] = activation
        for name in placement.fixed_constants:
            if self._places[name].is_parameter():
                self._places[name].freeze()
        self._steps = make_steps(self.graph, placement)

    @property
    def is_delayed(self) -> bool:
        """Whether it has still to train as floats before it is quantized."""
        return bool(cast(Tensor, self._steps_done) < self._delay)

    def freeze_ranges(self) -> None:
        """Ranges of activations stay as they are from now on."""
        for _, quantizer in self.quantizers():
            quantizer.frozen = True

    def freeze_norms(self) -> None:
        """Normalizations use their running statistics from now on, which stay as they are."""
        self._batch_statistics = False

    def get_extra_state(self) -> dict[str, bool]:
        """What a state_dict holds beside tensors: what is frozen."""
        placement = self._placement
        return {
            "batch_statistics": self._batch_statistics,
            "frozen": placement is not None and all(quantizer.frozen for _, quantizer in self.quantizers()),
        }

    def set_extra_state(self, state: dict[str, bool]) -> None:
        """As it was."""
        self._batch_statistics = state["batch_statistics"]
        if self._placement is not None:
            for _, quantizer in self.quantizers():
                quantizer.frozen = state["frozen"]

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether normalizations use the statistics of the batch now."""
        return self.training and self._batch_statistics

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """The outputs for inputs, in order or by name: one tensor, or a tuple of them."""
        values = dict(zip(self.input_names, inputs, strict=False)) | named
        if sorted(values) != sorted(self.input_names) or len(inputs) > len(self.input_names):
            raise UsageError(
                f"the network takes {', '.join(self.input_names)}, and was given {len(inputs)} tensors"
                + (f" and {', '.join(named)}" if named else "")
            )
        quantizes = self._begin_step()
        for name in list(values):
            self._quantize_value(name, values, quantizes)
        for step in self._steps:
            made = step.run(self, values, quantizes=quantizes)
            for name, tensor in zip(step.results, made, strict=False):
                values[name] = tensor
                self._quantize_value(name, values, quantizes)
            for name in step.drops:
                values.pop(name, None)
        placement, outputs = self._placement, []
        for name in (str(value.name) for value in self.graph.graph.outputs):
            taken = quantized_name(name) if placement is not None and name in placement.given else name
            outputs.append(values[taken] if taken in values else values[name])
        if self.training and distributed.is_available() and distributed.is_initialized():
            outputs[0] = with_all_scales(outputs[0], [self._weight_quantizers, self._activation_quantizers])
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _begin_step(self) -> bool:
        """Whether this step quantizes."""
        if self.training:
            for pruner in self._pruners:
                pruner.next_step(self)
            if self._placement is not None:
                for _, quantizer in self.quantizers():
                    quantizer.next_step()
        quantizes = self._placement is not None and not self.is_delayed
        if self.training:
            self._steps_done += 1
        return quantizes

    def _quantize_value(self, name: str, values: dict[str, Tensor], quantizes: bool) -> None:
        """A value that the plan quantizes also becomes what its integers stand for."""
        placement = self._placement
        source = None if placement is None else placement.activations.get(name)
        if source is None or placement is None:
            return
        quantizer = self.activation_quantizer(source)
        if self.training and name in placement.observed:
            quantizer.observe(values[name])
        if not quantizes or not quantizer.is_ready:
            return
        if steps_name(name) in values:
            values[quantized_name(name)] = quantizer.of_steps(values[steps_name(name)], placement.clamps.get(name))
        else:
            exact = name in placement.moved  # what only moves integers gives integers
            values[quantized_name(name)] = values[name] if exact else quantizer(values[name])


@dataclass(frozen=True)
class _Held:
    """What copies of a network share: its graph, which nobody changes."""

    graph: ir.Model
    source: str | None
    teacher: ir.Model

    def __deepcopy__(self, memo: Mapping[int, object]) -> _Held:
        return self
