"""Lowering: the state of one run: which tensors stand for each value so far, and the operators that made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from bitwright.graph.constants import constant_of
from bitwright.lowering.builder import Builder
from bitwright.lowering.concrete import Concrete
from bitwright.lowering.constant import DEQUANTIZED, STORAGE, Constant, make_constant
from bitwright.lowering.element_layout import (
    Layout,
    dims_moved,
    permutation,
    placed,
    row_major,
    split_by_dims,
    stored_perm,
    transposed,
)
from bitwright.lowering.parameters import activation_parameters, is_legacy
from bitwright.lowering.refusal import Refusal
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.ranges import qparams_from_range
from bitwright.quantization.plan import Compute, Plan

Array = NDArray[Any]
Shape = tuple[int, ...]

#: Integer constants smaller than this are stored as the floats they mean where a float kernel reads them.
SMALLEST_DEQUANTIZED = 128


@dataclass(frozen=True)
class Form:
    """One tensor that stands for a value: how its elements lie, and what its integers mean (None: plain numbers)."""

    tensor: str
    layout: Layout
    qparams: QuantParams | None


class Lowering:
    """Values by their forms. Every request gives a tensor that is there, or emits what makes it, once.

    Args:
        concrete: the graph with its shapes.
        plan: what was decided; None for a float model.
    """

    def __init__(self, concrete: Concrete, plan: Plan | None) -> None:
        self.concrete = concrete
        self.plan = plan
        self.build = Builder()
        self.legacy = is_legacy(plan)
        self.forms: dict[ir.Value, list[Form]] = {}
        self.done: set[ir.Node] = set()
        #: The node that each of the builder's first operators is from; None for conversions at the inputs.
        self.sources: list[ir.Node | None] = []
        self._constants: dict[ir.Value, Constant] = {}
        self._shapes: dict[ir.Value, Shape] = {}

    # What is known of values.

    def shape(self, value: ir.Value) -> Shape:
        """The ONNX shape.

        Raises:
            Refusal: it depends on data, or there are no elements.
        """
        shape = self._shapes.get(value) or self.concrete.shapes.get(value)
        if shape is None:
            raise Refusal(f"the shape of {value.name} is not known before it runs")
        if 0 in shape:
            raise Refusal(f"{value.name} has no elements")
        return shape

    def dtype(self, value: ir.Value) -> str:
        """The storage type of the value's plain numbers."""
        kind = self.concrete.dtypes.get(value, ir.DataType.FLOAT)
        storage = STORAGE.get(kind)
        if storage is None or storage in ("f16", "f64"):
            raise Refusal(f"computes in {kind.name.lower()}")
        return storage

    def compute(self, node: ir.Node) -> Compute:
        return Compute.FLOAT if self.plan is None else self.plan.compute_of(node.name)

    def planned(self, value: ir.Value) -> QuantParams | None:
        """The parameters that the plan gives an activation, as kernels take them."""
        qparams = None if self.plan is None else self.plan.qparams_of(value.name)
        return None if qparams is None else activation_parameters(qparams, legacy=self.legacy)

    def constant(self, value: ir.Value) -> Constant | None:
        """The constant behind a value, as it is stored."""
        if value not in self._constants:
            name = str(value.name)
            if value in self.concrete.folded:
                array = self.concrete.folded[value]
                self._constants[value] = make_constant(name, ir.tensor(array), None, legacy=self.legacy)
            elif (tensor := constant_of(value)) is not None:
                qparams = None if self.plan is None else self.plan.qparams_of(name)
                self._constants[value] = make_constant(name, tensor, qparams, legacy=self.legacy)
            else:
                return None
        return self._constants[value]

    def operand_parameters(self, value: ir.Value, storage: str) -> QuantParams | None:
        """The parameters an integer kernel reads a value in: an activation's, or those of a constant."""
        constant = self.constant(value)
        if constant is None:
            return self.planned(value)
        if constant.dtype == "f32" and constant.is_plain and constant.array.size:
            low, high = float(constant.array.min()), float(constant.array.max())
            return qparams_from_range(low, high, storage=storage, symmetric=storage == "i16")
        qparams = constant.qparams
        return None if qparams is None or qparams.axis is not None else qparams

    def is_there(self, value: ir.Value) -> bool:
        """Whether the value is constant or some tensor stands for it."""
        return value in self.forms or self.concrete.is_constant(value)

    def stand_in(self, value: ir.Value) -> None:
        """A tensor for the result of a refused node, so that what follows from it can be looked at too."""
        shape = self.concrete.shapes.get(value)
        if value.name and shape is not None and 0 not in shape:
            dtype = STORAGE.get(self.concrete.dtypes.get(value, ir.DataType.FLOAT), "f32")
            self.forms[value] = [Form(self.build.tensor(str(value.name), shape, dtype), row_major(shape), None)]

    # Requests for tensors.

    def form(self, value: ir.Value, qparams: QuantParams | None) -> Form:
        """The value in these parameters, however it lies."""
        constant = self.constant(value)
        if constant is not None:
            shape = constant.shape
            return Form(self._constant_tensor(constant, qparams, row_major(shape), shape), row_major(shape), qparams)
        found = self.forms[value]
        for form in found:
            if form.qparams == qparams:
                return form
        return self._converted(value, self._source(value, qparams), qparams)

    def nearest(self, value: ir.Value, qparams: QuantParams | None) -> Form:
        """The form in these parameters, or what one would be made from: it would lie in the same way."""
        held = next((form for form in self.forms[value] if form.qparams == qparams), None)
        return self._source(value, qparams) if held is None else held

    def _source(self, value: ir.Value, qparams: QuantParams | None, layout: Layout | None = None) -> Form:
        """What other parameters are made from: the plan's own, else floats, else what there is."""
        planned = self.planned(value)
        if qparams is not None and planned is not None and planned != qparams:
            self.form(value, planned)
            found = [form for form in self.forms[value] if form.qparams == planned]
        else:
            found = [form for form in self.forms[value] if form.qparams is None] or self.forms[value]
        return next((form for form in found if form.layout == layout), found[0])

    def laid(self, value: ir.Value, layout: Layout, shape: Sequence[int], qparams: QuantParams | None) -> str:
        """The value in these parameters, lying so, in a tensor of this shape."""
        shape = tuple(shape)
        constant = self.constant(value)
        if constant is not None:
            return self._constant_tensor(constant, qparams, layout, shape)
        for form in self.forms[value]:
            if form.qparams == qparams and form.layout == layout and self.build.shape(form.tensor) == shape:
                return form.tensor
        same = [form for form in self.forms[value] if form.qparams == qparams]
        if same:
            source = next((form for form in same if form.layout == layout), same[0])
        elif qparams is not None:
            source = self._converted(value, self._source(value, qparams, layout), qparams)
        else:  # integers are moved before they are made floats: a quarter of the bytes
            first = self._source(value, None, layout)
            moved = Form(self._moved(f"{value.name}_integers", first, layout, shape), layout, first.qparams)
            if moved.tensor != first.tensor:
                self.forms[value].append(moved)
            return self._converted(value, moved, None).tensor
        tensor = self._moved(str(value.name), source, layout, shape)
        if tensor != source.tensor:
            self.forms[value].append(Form(tensor, layout, qparams))
        return tensor

    def placed(self, value: ir.Value, perm: Sequence[int], qparams: QuantParams | None) -> str:
        """The value with its dimensions in this order."""
        shape = self.shape(value)
        return self.laid(value, placed(shape, perm), [shape[p] for p in perm], qparams)

    def perm(self, value: ir.Value, qparams: QuantParams | None) -> tuple[int, ...]:
        """The order of dimensions that the value is there in, or is cheapest brought into."""
        shape = self.shape(value)
        if self.constant(value) is not None:
            return tuple(range(len(shape)))
        form = self.nearest(value, qparams)
        found = stored_perm(form.layout, shape, self.build.shape(form.tensor))
        if found is not None:
            return found
        cut = split_by_dims(form.layout, shape)
        if cut is None:
            return tuple(range(len(shape)))
        fine, groups = cut
        first = {d: fine.order.index(group[0]) if group else -1 for d, group in enumerate(groups)}
        return tuple(sorted(first, key=lambda d: first[d]))

    def _constant_tensor(self, constant: Constant, qparams: QuantParams | None, layout: Layout, shape: Shape) -> str:
        def change(array: Array) -> Array:
            return layout.arranged(array).reshape(shape)

        if qparams is not None:
            if constant.qparams is not None and constant.qparams.axis is not None:
                constant = constant.plain()
            return self.store(constant.integers(qparams).rearranged(change))
        if constant.qparams is not None and constant.qparams.axis is not None:
            perm = stored_perm(layout, constant.shape, shape)
            kept = perm is not None and tuple(constant.shape[p] for p in perm) == shape
            if not kept or perm is None:
                return self.real(constant.plain().rearranged(change))
            return self.real(constant.rearranged(change, axis=perm.index(constant.qparams.axis)))
        return self.real(constant.rearranged(change))

    def store(self, constant: Constant) -> str:
        """A constant tensor of exactly what is stored."""
        return self.build.constant(constant.name, constant.array, constant.dtype, constant.qparams)

    def real(self, constant: Constant) -> str:
        """A tensor of plain numbers: the constant itself, or what a DEQUANTIZE makes of it."""
        if constant.is_plain:
            return self.store(constant)
        if constant.array.size < SMALLEST_DEQUANTIZED or not (constant.half or constant.dtype in DEQUANTIZED):
            return self.store(constant.plain())
        stored = self.store(constant)
        result = self.build.tensor(f"{constant.name}_dequantized", constant.shape)
        self.build.emit("DEQUANTIZE", [stored], [result])
        return result

    # Values that the graph does not have.

    def view(self, name: str, shape: Sequence[int], forms: Sequence[Form]) -> ir.Value:
        """A value that lies in tensors of another: the same elements under another shape or order."""
        value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
        self._shapes[value], self.forms[value] = tuple(shape), list(forms)
        return value

    def transposed_view(self, value: ir.Value, perm: Sequence[int], qparams: QuantParams | None) -> ir.Value:
        """The value with its dimensions in another order, for nothing where it can be seen so, else a TRANSPOSE."""
        shape = self.shape(value)
        is_moved = qparams is None and self.constant(value) is None  # as what is there; floats are made afterwards
        form = self.nearest(value, None) if is_moved else self.form(value, qparams)
        layout = transposed(form.layout, shape, perm)
        if layout is None:
            straight = row_major(shape)
            form = Form(self.laid(value, straight, shape, form.qparams), straight, form.qparams)
            layout = transposed(straight, shape, perm)
            assert layout is not None
        name = f"{value.name}_view"
        return self.view(name, [shape[p] for p in perm], [Form(form.tensor, layout, form.qparams)])

    # Steps between forms.

    def _name(self, name: str, suffix: str) -> str:
        """The value's own name while nobody has it, else with a suffix."""
        return name if self.build.free_name(name) == name else name + suffix

    def _converted(self, value: ir.Value, source: Form, qparams: QuantParams | None) -> Form:
        name = str(value.name)
        tensor = self.build.convert(
            source.tensor, qparams, self._name(name, "_dequantized" if qparams is None else "_quantized")
        )
        form = Form(tensor, source.layout, qparams)
        self.forms[value].append(form)
        return form

    def _moved(self, name: str, source: Form, layout: Layout, shape: Shape) -> str:
        """The source's elements lying otherwise."""
        if source.layout == layout:
            return self.build.reshaped(source.tensor, shape, self._name(name, "_reshaped"))
        step = permutation(source.layout, layout)
        if step is None:
            flat = row_major((math.prod(shape),))
            straight = self._moved(f"{name}_straight", source, flat, shape)
            return self._moved(name, Form(straight, flat, source.qparams), layout, shape)
        seen, perm = step
        held = self.build.shape(source.tensor)
        natural = dims_moved(held, seen, perm)
        if natural is not None and tuple(held[d] for d in natural) == shape:
            return self.build.transposed(source.tensor, natural, self._name(name, "_transposed"))
        moved = tuple(seen[p] for p in perm)
        back = dims_moved(shape, moved, tuple(perm.index(p) for p in range(len(perm))))
        if back is not None:  # seen in the dimensions that the result has
            seen, perm = tuple(shape[d] for d in back), tuple(back.index(d) for d in range(len(back)))
        apart = self.build.reshaped(source.tensor, seen, f"{name}_split")
        last = tuple(seen[p] for p in perm) == shape
        turned = self.build.transposed(apart, perm, self._name(name, "_transposed") if last else f"{name}_moved")
        return self.build.reshaped(turned, shape, self._name(name, "_transposed"))
