"""Steps: the nodes of a graph as calls in torch, weights quantized and normalizations folded as they are deployed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from torch import Tensor

from bitwright.errors import UnsupportedOpError
from bitwright.graph.constants import array_of
from bitwright.training.folding import Norm, corrected_result, folded, live_norm
from bitwright.training.operators.registry import OPERATORS
from bitwright.training.placement import Placement, weights_of
from bitwright.training.quantizers import as_planned, rounded_bias
from bitwright.transforms.fold_batch_norms import is_trainable
from bitwright.transforms.linear import Linear, linear_of

if TYPE_CHECKING:
    from bitwright.training.network import Network

#: Operators -> the operands that are trained where they are constant.
_TRAINED = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "LSTM": (1, 2, 3, 7),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
    "PRelu": (1,),
    "Gather": (0,),
    "Add": (0, 1),
    "Sub": (0, 1),
    "Mul": (0, 1),
    "Div": (0, 1),
}


@dataclass(frozen=True)
class Operand:
    """What a step reads.

    Args:
        name: of a value, or of a constant.
        is_constant: which of the two.
        quantized: whether it reads what the integers stand for, where there are any.
    """

    name: str
    is_constant: bool
    quantized: bool = False


@dataclass(frozen=True)
class Step:
    """One node; with the normalization behind it, where that is folded.

    Args:
        node: its name.
        operator: ONNX's name of it.
        function: of `operators.registry`.
        operands: None where one is left out.
        attributes: keyword arguments.
        results: names of the values that it gives.
        weights: operands that are its weights, and what each is called in the plan; "" where it is not quantized.
        bias: whether operand 2 is a bias that the plan quantizes.
        kernel: the quantized value that the integer kernel gives, behind the clamp that it runs as well; None where it
            gives floats, or sums otherwise than integers.
        norm: the BatchNormalization that is folded into it, or that it is.
        drops: values that nobody reads after it.
    """

    node: str
    operator: str
    function: Callable[..., Any]
    operands: tuple[Operand | None, ...]
    attributes: Mapping[str, Any]
    results: tuple[str, ...]
    weights: Mapping[int, str] = field(default_factory=dict)
    bias: bool = False
    kernel: str | None = None
    norm: Norm | None = None
    drops: tuple[str, ...] = ()

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The constants that are its weights."""
        operands = (self.operands[index] for index in self.weights)
        return tuple(operand.name for operand in operands if operand is not None)

    def run(self, network: Network, values: dict[str, Tensor], *, quantizes: bool) -> tuple[Tensor, ...]:
        """The results."""
        operands = [None if o is None else self._read(o, network, values, quantizes=quantizes) for o in self.operands]
        if self.norm is not None and not self.weights:
            return (live_norm(self.norm, network, operands),)
        attributes = self.attributes
        if self.norm is not None:
            if network.uses_batch_statistics:
                return (corrected_result(self, network, operands, quantizes=quantizes),)
            operands, attributes = folded(self, network, operands)
        if quantizes and not network.training and self._sums_integers(network, values):
            return (self._integer_result(network, values, operands, attributes),)
        scales = self.quantize_weights(network, operands) if quantizes else {}
        if quantizes and self.bias:
            operands[2] = self.round_bias(network, operands[2], scales)
        made = self.function(*operands, **attributes)
        return made if isinstance(made, tuple) else (made,)

    def _sums_integers(self, network: Network, values: Mapping[str, Tensor]) -> bool:
        """Whether the node is evaluated as its integer kernel does it."""
        data = self.operands[0]
        if self.kernel is None or data is None or quantized_name(data.name) not in values:
            return False
        return network.quantizer_of(self.kernel).is_ready

    def _integer_result(
        self, network: Network, values: dict[str, Tensor], operands: list[Tensor | None], attributes: Mapping[str, Any]
    ) -> Tensor:
        """The result from sums of integers, which float32 holds exactly below 2^24, in the order of kernels' roundings.

        sums * (scale_x * scale_w / scale_y)    is what they round, in float32
        """
        data, result, kernel = self.operands[0], network.quantizer_of(str(self.kernel)), str(self.kernel)
        planned = next(iter(self.weights.values()))  # of operand 1: operand 0 is the data, see _sums_integers
        x, weight = operands[0], operands[1]
        assert data is not None and x is not None and weight is not None
        x_scale = network.quantizer_of(data.name).now()[0]
        integers, w_scale = network.weight_quantizer(planned).integers(weight)
        bias = operands[2] if len(operands) > 2 else None
        operands = [torch.round(x / x_scale), integers]
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 does not hold the sums
            sums: Tensor = self.function(*operands, **attributes)
        view = [-1 if axis == self.channel_axis(sums) else 1 for axis in range(sums.dim())]
        scale = (x_scale * w_scale).reshape(view if w_scale.numel() > 1 else ())
        if bias is not None:
            wide = (x_scale * w_scale).double()
            sums = sums + torch.round(bias.reshape(-1).double() / wide).float().reshape(view)
        values[steps_name(kernel)] = sums * (scale / result.now()[0])
        return sums * scale

    def channel_axis(self, result: Tensor) -> int:
        """The axis of a result that weights have scales along: 1 behind a convolution, the last behind a product."""
        return 1 if self.operator in ("Conv", "ConvTranspose") else result.dim() - 1

    def quantize_weights(self, network: Network, operands: list[Tensor | None]) -> dict[int, Tensor]:
        """Weights become what their integers stand for. Gives their scales."""
        scales = {}
        for index, planned in self.weights.items():
            weight = operands[index]
            if planned and weight is not None:
                operands[index], scales[index] = network.weight_quantizer(planned)(weight)
        return scales

    def round_bias(self, network: Network, bias: Tensor | None, scales: Mapping[int, Tensor]) -> Tensor | None:
        """A bias in steps of its integers: scale of the data * scale of the weight."""
        data, placement = self.operands[0], network.placement
        assert data is not None and placement is not None
        quantizer = network.activation_quantizer(placement.activations[data.name])
        if bias is None or not quantizer.is_ready or not scales:
            return bias
        return rounded_bias(bias, quantizer.now()[0].detach() * next(iter(scales.values())))

    def _read(self, operand: Operand, network: Network, values: Mapping[str, Tensor], *, quantizes: bool) -> Tensor:
        if operand.is_constant:
            constant, placement = network.tensor(operand.name), network.placement
            planned = placement.plan.qparams_of(operand.name) if placement and quantizes and operand.quantized else None
            return constant if planned is None else as_planned(constant, planned)
        quantized = values.get(quantized_name(operand.name)) if operand.quantized else None
        return values[operand.name] if quantized is None else quantized


def steps_name(name: str) -> str:
    """What a value is called as its kernel has it before it rounds."""
    return f"{name} (steps)"


def quantized_name(name: str) -> str:
    """What a value is called where it is read as integers."""
    return f"{name} (quantized)"


def trained_constants(graph: ir.Model) -> set[str]:
    """The constants that training changes."""
    found = set()
    for node in graph.graph:
        for index in _TRAINED.get(node.op_type, ()) if node.domain in ("", "ai.onnx") else ():
            value = node.inputs[index] if index < len(node.inputs) else None
            array = array_of(value) if value is not None and value.is_initializer() else None
            if value is not None and array is not None and array.dtype.kind == "f" and array.ndim and array.size > 1:
                found.add(str(value.name))
    return found


def make_steps(model: ir.Model, placement: Placement | None) -> list[Step]:
    """The steps of a graph.

    Args:
        model: prepared.
        placement: how it is quantized; None: normalizations are steps of their own.

    Raises:
        UnsupportedOpError: nodes that have no differentiable form: all of them, each with its reason.
    """
    refused = {str(node.name): reason for node in model.graph if (reason := _refusal(node))}
    if refused:
        listed = "\n           ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise UnsupportedOpError(
            f"{len(refused)} nodes cannot be trained through", where=f"nodes:\n           {listed}",
            next="train the network where it was written, and give the trained one",
        )  # fmt: skip
    steps: list[Step] = []
    absorbed: set[ir.Node] = set()
    for node in model.graph:
        if node not in absorbed:
            steps.append(_step_of(node, placement, absorbed))
    return _with_drops(model, steps)


def _refusal(node: ir.Node) -> str:
    """Why a node cannot be run; empty where it can."""
    name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
    function = OPERATORS.get(name)
    if function is None:
        return f"{name} has no differentiable form here"
    known = inspect.signature(function).parameters
    unknown = [key for key in node.attributes if key not in known]
    return f"{name} with {', '.join(unknown)} has no differentiable form here" if unknown else ""


def _step_of(node: ir.Node, placement: Placement | None, absorbed: set[ir.Node]) -> Step:
    function = OPERATORS[node.op_type]
    attributes: dict[str, Any] = {name: _python(attribute) for name, attribute in node.attributes.items()}
    if "outputs" in inspect.signature(function).parameters:
        attributes["outputs"] = len(node.outputs)
    weights = {i: placement.weights.get((str(node.name), i), "") if placement else "" for i in weights_of(node)}
    norm = Norm.of(node) if node.op_type == "BatchNormalization" else None
    results = tuple(str(value.name) for value in node.outputs)
    linear = linear_of(node)
    if placement is not None and isinstance(linear, Linear) and is_trainable(linear):
        behind = node.outputs[0].consumers()[0]
        norm, results = Norm.of(behind, linear), (str(behind.outputs[0].name),)
        absorbed.add(behind)
    return Step(
        node=str(node.name),
        operator=node.op_type,
        function=function,
        operands=tuple(_operand(node, value, placement) for value in node.inputs),
        attributes=attributes,
        results=results,
        weights=weights,
        bias=placement is not None and str(node.name) in placement.biased,
        kernel=_kernel(node, placement, attributes),
        norm=norm,
    )


def _kernel(node: ir.Node, placement: Placement | None, attributes: Mapping[str, Any]) -> str | None:
    """The quantized value that a node's kernel gives."""
    scaled = attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0
    return None if placement is None or scaled else placement.kernels.get(str(node.name))


def _operand(node: ir.Node, value: ir.Value | None, placement: Placement | None) -> Operand | None:
    if value is None or not value.name:
        return None
    name = str(value.name)
    reads = placement is not None and placement.reads(str(node.name), name)
    return Operand(name, is_constant=value.is_initializer(), quantized=reads)


def _python(attribute: ir.Attr) -> Any:
    """An attribute as a Python value; a tensor as a numpy array."""
    value = attribute.value
    if attribute.type is ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return list(value)
    return value


def _with_drops(model: ir.Model, steps: Sequence[Step]) -> list[Step]:
    """The steps with the values that each is the last to read."""
    kept = {str(value.name) for value in model.graph.outputs}
    made: list[Step] = []
    for step in reversed(steps):
        names = {o.name for o in step.operands if o is not None and not o.is_constant} | set(step.results)
        drops = [d for name in sorted(names - kept) for d in (name, quantized_name(name), steps_name(name))]
        kept |= names
        made.append(replace(step, drops=tuple(drops)))
    return made[::-1]
