"""What changed in ONNX operators between sets 7 and 21, one adapter a change.

Each takes a node as it was just before `introduced` and makes it what that set expects. Changes that older nodes
satisfy as they are (more types, new optional inputs and attributes) have no row.

Source: ONNX `docs/Changelog.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.errors import ModelError
from bitwright.importers.rank import element_type_of, rank_of


class Editor:
    """Adds constants and nodes to a model under names nothing else has."""

    def __init__(self, model: ir.Model) -> None:
        self._used: set[str] = set()
        for graph in model.graphs():
            self._used.update(v.name for v in [*graph.inputs, *graph.initializers.values()] if v.name)
            for node in graph:
                self._used.update(v.name for v in node.outputs if v.name)
                self._used.add(str(node.name))

    def name(self, stem: str) -> str:
        """A free name that starts with `stem`."""
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}_{number}"
        self._used.add(name)
        return name

    def constant(self, node: ir.Node, hint: str, array: NDArray[Any]) -> ir.Value:
        """A new initializer in the node's graph."""
        tensor = ir.tensor(array, name=self.name(f"{node.name}_{hint}"))
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        assert isinstance(node.graph, ir.Graph)
        node.graph.register_initializer(value)
        return value

    def give(self, node: ir.Node, index: int, hint: str, array: NDArray[Any]) -> None:
        """Make a new constant the node's input number `index`; inputs in between stay empty."""
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        node.replace_input_with(index, self.constant(node, hint, array))

    def before(self, node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Any) -> ir.Value:
        """A new node just before `node`; gives its output."""
        made = self._node(node, op_type, inputs, attributes)
        assert node.graph is not None
        node.graph.insert_before(node, made)
        return made.outputs[0]

    def after(self, node: ir.Node, op_type: str, *inputs: ir.Value, **attributes: Any) -> None:
        """A new node just after `node` that takes its first output and then yields it under the same name."""
        old = node.outputs[0]
        made = self._node(node, op_type, [old, *inputs], attributes)
        new = made.outputs[0]
        new.type, new.shape = old.type, old.shape
        assert node.graph is not None
        node.graph.insert_after(node, made)
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        made.replace_input_with(0, old)
        public, inner = old.name, str(new.name)
        old.name, old.shape, new.name = inner, None, public

    def _node(self, node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: Any) -> ir.Node:
        made = ir.node(op_type, inputs, attributes, name=self.name(f"{node.name}_{op_type}"))
        made.outputs[0].name = self.name(f"{made.name}_output")
        return made


class Step(NamedTuple):
    """One change: the set that made it, and what brings an older node over it."""

    introduced: int
    adapt: Callable[[ir.Node, Editor], None]


def int64(values: Sequence[int]) -> NDArray[np.int64]:
    """Integers as ONNX wants shapes and axes."""
    return np.array(values, dtype=np.int64)


def attribute_to_input(attribute: str, index: int) -> Callable[[ir.Node, Editor], None]:
    """An adapter for a list of integers (axes, split) that became an input."""

    def adapt(node: ir.Node, editor: Editor) -> None:
        values = node.attributes.pop(attribute, None)
        if values is not None and len(values.as_ints()):
            editor.give(node, index, attribute, int64(values.as_ints()))

    return adapt


def slice_10(node: ir.Node, editor: Editor) -> None:
    """Starts, ends and axes became inputs."""
    for index, name in enumerate(("starts", "ends", "axes"), start=1):
        values = node.attributes.pop(name, None)
        if values is not None:
            editor.give(node, index, name, int64(values.as_ints()))


def top_k_10(node: ir.Node, editor: Editor) -> None:
    """K became an input."""
    editor.give(node, 1, "k", int64([node.attributes.pop("k").as_int()]))


def upsample_9(node: ir.Node, editor: Editor) -> None:
    """Scales became an input."""
    editor.give(node, 1, "scales", np.array(node.attributes.pop("scales").as_floats(), dtype=np.float32))


def upsample_10(node: ir.Node, editor: Editor) -> None:
    """Resize took over."""
    node.op_type = "Resize"


def resize_11(node: ir.Node, editor: Editor) -> None:
    """Scales moved behind a region of interest, and the coordinates became a choice (they were asymmetric)."""
    scales = node.inputs[1]
    node.resize_inputs(3)
    node.replace_input_with(1, None)
    node.replace_input_with(2, scales)
    node.attributes["coordinate_transformation_mode"] = ir.AttrString("coordinate_transformation_mode", "asymmetric")
    mode = node.attributes.get_string("mode", "nearest")
    if mode == "bilinear":
        node.attributes["mode"] = ir.AttrString("mode", "linear")
    if mode == "nearest":
        # ONNX Runtime's rule for the old operator, and the old operator's own test: up takes the sample before.
        tensor = ir.convenience.get_const_tensor(scales) if scales is not None else None
        factors = np.ones(1) if tensor is None else tensor.numpy()
        if factors.min() < 1 < factors.max():
            raise ModelError("Resize at set 10 enlarges one axis and shrinks another, which has no counterpart")
        node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "ceil" if factors.min() < 1 else "floor")


def resize_13(node: ir.Node, editor: Editor) -> None:
    """Scales that must be present but empty beside sizes became absent."""
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        node.replace_input_with(2, None)


def clip_11(node: ir.Node, editor: Editor) -> None:
    """Bounds became inputs of the data's own type."""
    dtype = element_type_of(node.inputs[0]).numpy()
    for index, name in enumerate(("min", "max"), start=1):
        bound = node.attributes.pop(name, None)
        if bound is not None:
            largest = float(np.finfo(dtype).max)  # the old defaults are those of float32
            editor.give(node, index, name, np.array(np.clip(bound.as_float(), -largest, largest), dtype=dtype))


def pad_11(node: ir.Node, editor: Editor) -> None:
    """Pads and the constant became inputs."""
    editor.give(node, 1, "pads", int64(node.attributes.pop("pads").as_ints()))
    value = node.attributes.pop("value", None)
    if value is not None and value.as_float() != 0.0:
        dtype = element_type_of(node.inputs[0]).numpy()
        editor.give(node, 2, "value", np.array(value.as_float(), dtype=dtype))


def dropout_12(node: ir.Node, editor: Editor) -> None:
    """The ratio became an input of training, which a network that only runs does not need."""
    node.attributes.pop("ratio", None)


def batch_norm_9(node: ir.Node, editor: Editor) -> None:
    """Statistics of every pixel of its own went away."""
    spatial = node.attributes.pop("spatial", None)
    if spatial is not None and spatial.as_int() == 0:
        raise ModelError("BatchNormalization with spatial=0 went away at set 9")


def batch_norm_14(node: ir.Node, editor: Editor) -> None:
    """The four statistics of training became two."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise ModelError("BatchNormalization in training mode has no counterpart, before set 14")
    node.resize_outputs(1)


def softmax_13(node: ir.Node, editor: Editor) -> None:
    """All axes from `axis` on were one; now `axis` is alone.

    Before: y = reshape(softmax(flatten(x, axis)), shape(x)).
    """
    axis = node.attributes.get_int("axis", 1)
    x = node.inputs[0]
    rank = rank_of(x)
    node.attributes["axis"] = ir.AttrInt64("axis", -1)
    if axis == -1 or (rank is not None and axis == rank - 1):
        return
    shape = editor.before(node, "Shape", [x])
    node.replace_input_with(0, editor.before(node, "Flatten", [x], axis=axis))
    editor.after(node, "Reshape", shape)


def scatter_11(node: ir.Node, editor: Editor) -> None:
    """The operator was renamed."""
    node.op_type = "ScatterElements"


def scan_9(node: ir.Node, editor: Editor) -> None:
    """Scan lost its batch axis and lengths."""
    raise ModelError("Scan of set 8 has no counterpart from set 9 on")


def roi_align_16(node: ir.Node, editor: Editor) -> None:
    """The default moved by half a pixel."""
    name = "coordinate_transformation_mode"
    node.attributes.setdefault(name, ir.AttrString(name, "output_half_pixel"))


def split_18(node: ir.Node, editor: Editor) -> None:
    """The number of equal parts must be said."""
    if len(node.inputs) < 2 or node.inputs[1] is None:
        node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def grid_sample_20(node: ir.Node, editor: Editor) -> None:
    """Modes lost their "bi"."""
    mode = node.attributes.get_string("mode", "bilinear")
    node.attributes["mode"] = ir.AttrString("mode", {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode))


def dft_20(node: ir.Node, editor: Editor) -> None:
    """The axis became an input, and another one by default."""
    axis = node.attributes.pop("axis", None)
    editor.give(node, 2, "axis", np.array(1 if axis is None else axis.as_int(), dtype=np.int64))


def group_norm_21(node: ir.Node, editor: Editor) -> None:
    """Scale and bias are per channel instead of per group: each is repeated for the channels of its group."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    if not isinstance(channels, int):
        raise ModelError("GroupNormalization of set 18 needs a known number of channels")
    groups = node.attributes.get_int("num_groups")
    spread = editor.constant(node, "spread", int64([groups, channels // groups]))
    column = editor.constant(node, "column", int64([groups, 1]))
    flat = editor.constant(node, "flat", int64([channels]))
    for index in (1, 2):
        rows = editor.before(node, "Reshape", [node.inputs[index], column])
        wide = editor.before(node, "Expand", [rows, spread])
        node.replace_input_with(index, editor.before(node, "Reshape", [wide, flat]))


_SOFTMAX = [Step(13, softmax_13)]
_REDUCE = [Step(18, attribute_to_input("axes", 1))]

ADAPTERS: dict[str, list[Step]] = {
    "BatchNormalization": [Step(9, batch_norm_9), Step(14, batch_norm_14)],
    "Clip": [Step(11, clip_11)],
    "DFT": [Step(20, dft_20)],
    "Dropout": [Step(12, dropout_12)],
    "GridSample": [Step(20, grid_sample_20)],
    "GroupNormalization": [Step(21, group_norm_21)],
    "Hardmax": _SOFTMAX,
    "LogSoftmax": _SOFTMAX,
    "Pad": [Step(11, pad_11)],
    "ReduceL1": _REDUCE,
    "ReduceL2": _REDUCE,
    "ReduceLogSum": _REDUCE,
    "ReduceLogSumExp": _REDUCE,
    "ReduceMax": _REDUCE,
    "ReduceMean": _REDUCE,
    "ReduceMin": _REDUCE,
    "ReduceProd": _REDUCE,
    "ReduceSum": [Step(13, attribute_to_input("axes", 1))],
    "ReduceSumSquare": _REDUCE,
    "Resize": [Step(11, resize_11), Step(13, resize_13)],
    "RoiAlign": [Step(16, roi_align_16)],
    "Scan": [Step(9, scan_9)],
    "Scatter": [Step(11, scatter_11)],
    "Slice": [Step(10, slice_10)],
    "Softmax": _SOFTMAX,
    "Split": [Step(13, attribute_to_input("split", 1)), Step(18, split_18)],
    "Squeeze": [Step(13, attribute_to_input("axes", 1))],
    "TopK": [Step(10, top_k_10)],
    "Unsqueeze": [Step(13, attribute_to_input("axes", 1))],
    "Upsample": [Step(9, upsample_9), Step(10, upsample_10)],
}
