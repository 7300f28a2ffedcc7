"""Reshape, Flatten, Squeeze, Unsqueeze and Transpose: the same tensor seen otherwise. None emits an operator."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.lowering.context import Form
from bitwright.lowering.element_layout import Layout, row_major, transposed
from bitwright.lowering.step import Kernel, Step


def _forms(step: Step, kernel: Kernel) -> list[Form]:
    """The operand's tensors in the parameters that the node reads; where it gives floats, whatever there is."""
    data = step.value(0)
    if _is_any(kernel) and step.low.constant(data) is None:
        return step.low.forms[data]
    q = kernel.q(data)
    first = step.low.form(data, q)
    others = [form for form in step.low.forms.get(data, []) if form.qparams == q and form.tensor != first.tensor]
    return [first, *others]


def _is_any(kernel: Kernel) -> bool:
    """Whether nothing is said of the result: integers may stand for it, and are made floats when somebody asks."""
    return kernel.qparams is None and kernel.clamp is None


def _give(step: Step, kernel: Kernel, forms: list[Form]) -> None:
    if _is_any(kernel):
        step.give_views(kernel.value, forms)
        return
    step.give(kernel, forms[0].tensor, forms[0].layout)
    if kernel.clamp is None and forms[0].qparams == kernel.qparams:
        step.low.forms[kernel.value].extend(forms[1:])


def lower_reshape(step: Step) -> None:
    """A layout knows no dimensions: the result's is the operand's."""
    step.shape(step.output)
    kernel = step.kernel([step.value(0)])
    _give(step, kernel, _forms(step, kernel))


def lower_transpose(step: Step) -> None:
    data = step.value(0)
    shape = step.shape(data)
    perm = step.numbers("perm") or tuple(reversed(range(len(shape))))
    kernel = step.kernel([data])
    found = [
        Form(form.tensor, layout, form.qparams)
        for form in _forms(step, kernel)
        if (layout := transposed(form.layout, shape, perm)) is not None
    ]
    if not found:
        q = step.low.nearest(data, kernel.q(data)).qparams
        straight = step.low.laid(data, row_major(shape), shape, q)
        found = [Form(straight, _must(transposed(row_major(shape), shape, perm)), q)]
    _give(step, kernel, found)


def _must(layout: Layout | None) -> Layout:
    assert layout is not None  # row-major order can be cut anywhere
    return layout


LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Reshape": lower_reshape,
    "Flatten": lower_reshape,
    "Squeeze": lower_reshape,
    "Unsqueeze": lower_reshape,
    "Transpose": lower_transpose,
}
