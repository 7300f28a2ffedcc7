"""Gemm and MatMul: FULLY_CONNECTED where one factor is a constant matrix, else BATCH_MATMUL."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from bitwright.lowering.constant import Constant
from bitwright.lowering.context import Form
from bitwright.lowering.element_layout import Layout, joined, row_major, split_by_dims, transposed
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Kernel, Step
from bitwright.lowering.weights import bias_tensor, quantizes_asymmetrically, refuse_weights, weight_tensor
from bitwright.numerics.qparams import QuantParams
from bitwright.program.options import AddOptions, BatchMatMulOptions, FullyConnectedOptions, MulOptions
from bitwright.quantization.plan import Compute


@dataclass(frozen=True)
class Rows:
    """Data seen as rows of K elements.

    Args:
        tensor: its elements are rows after rows.
        columns: the layout of the K elements of a row.
        rows: the rows' factors, as in the layout of the whole.
        order: of the rows' factors.
    """

    tensor: str
    columns: Layout
    rows: tuple[int, ...]
    order: tuple[int, ...]

    def with_columns(self, count: int) -> Layout:
        """The layout of a result with so many columns."""
        return joined((*self.rows, count), (*self.order, len(self.rows)))


def rows_of(step: Step, value: ir.Value, qparams: QuantParams | None) -> Rows:
    """The data [..., K] with K stored last, its elements in whatever order they are there."""
    shape = step.shape(value)
    if step.low.constant(value) is None:
        cut = split_by_dims(step.low.nearest(value, qparams).layout, shape)
        if cut is not None:
            fine, groups = cut
            count = len(fine.order) - len(groups[-1])
            if set(fine.order[count:]) == set(groups[-1]):
                columns = joined(tuple(fine.sizes[f] for f in groups[-1]), tuple(f - count for f in fine.order[count:]))
                form = step.low.form(value, qparams)
                return Rows(form.tensor, columns, fine.sizes[:count], fine.order[:count])
    tensor = step.low.laid(value, row_major(shape), shape, qparams)
    return Rows(tensor, row_major(shape[-1:]), (math.prod(shape[:-1]),), (0,))


def fully_connected(
    step: Step,
    kernel: Kernel,
    data: ir.Value,
    weight: Constant,
    bias: Constant | None,
    *,
    rank: int,
) -> tuple[str, Layout]:
    """One FULLY_CONNECTED.

    Args:
        data: [..., K].
        weight: [O, K], quantized along axis 0.
        bias: O values, or none.
        rank: of the result that the graph has.

    Returns:
        The result's tensor and layout: [..., O].
    """
    q = kernel.q(data)
    rows = rows_of(step, data, q)
    outputs, columns = weight.shape
    if not rows.columns.is_row_major:
        take = rows.columns.arranged(np.arange(columns))
        weight = weight.rearranged(lambda a: a[:, take], axis=0)
    refuse_weights(weight, kernel, q)
    filters = weight_tensor(step, kernel, weight)
    added = bias_tensor(step, kernel, bias, outputs, q, weight.qparams, needed=False)
    held = step.build.shape(rows.tensor)
    keeps = rank > 2 and held[-1] == columns
    shape = (*held[:-1], outputs) if keeps else (math.prod(held) // columns, outputs)
    result = step.result(kernel, shape)
    options = FullyConnectedOptions(
        fused_activation_function=kernel.activation,
        keep_num_dims=keeps and len(held) != 2,
        asymmetric_quantize_inputs=not kernel.integer and quantizes_asymmetrically(step, weight),
    )
    inputs = [rows.tensor, filters] if added is None else [rows.tensor, filters, added]
    step.build.emit("FULLY_CONNECTED", inputs, [result], options)
    return result, rows.with_columns(outputs)


def lower_gemm(step: Step) -> None:
    data, weight = step.value(0), step.constant(1)
    alpha, beta = step.real("alpha", 1.0), step.real("beta", 1.0)
    if weight is None or len(weight.shape) != 2:
        _computed_gemm(step, alpha, beta)
        return
    channels = weight.shape[0 if step.number("transB", 0) else 1]
    added = step.constant(2) if step.has(2) else None
    joins = not step.has(2) or (added is not None and added.array.size in (1, channels) and _is_row(added, channels))
    if not joins:
        _computed_gemm(step, alpha, beta)
        return
    kernel = step.kernel([data], fuses=True)
    if step.number("transA", 0):
        qparams = kernel.q(data)
        data = step.low.transposed_view(data, (1, 0), qparams)
        kernel.reads[data] = qparams
    if not step.number("transB", 0):
        weight = weight.rearranged(np.transpose, axis=0)
    weight = scaled(weight, alpha)
    bias = None if added is None else scaled(added, beta)
    result, layout = fully_connected(step, kernel, data, weight, bias, rank=2)
    step.give(kernel, result, layout)


def _is_row(bias: Constant, channels: int) -> bool:
    return bias.array.size == 1 or bias.shape[-1] == channels


def scaled(constant: Constant, factor: float) -> Constant:
    """A constant times a number: its scales, or its plain numbers."""
    if factor == 1.0:
        return constant
    q = constant.qparams
    if q is None or factor <= 0:
        return Constant(constant.name, (constant.real() * np.float32(factor)).astype(np.float32), "f32")
    scale = (q.scale * np.float32(factor)).astype(np.float32)
    return replace(constant, qparams=QuantParams(scale, q.zero_point, q.storage, q.axis, None, q.narrow_range))


def _computed_gemm(step: Step, alpha: float, beta: float) -> None:
    """A product of computed matrices, then alpha, then the addend; floats, or integers where it is a product alone."""
    a, b = step.value(0), step.value(1)
    alone = alpha == 1.0 and not step.has(2)
    kernel = step.kernel([a, b], integer=("i8", "i16") if alone else ())
    ranks = step.shape(a), step.shape(b)
    if any(len(shape) != 2 for shape in ranks):
        raise Refusal("Gemm takes matrices")
    views = []
    for value, flag in ((a, "transA"), (b, "transB")):
        if step.number(flag, 0):
            turned = step.low.transposed_view(value, (1, 0), kernel.q(value))
            kernel.reads[turned] = kernel.q(value)
            value = turned
        views.append(value)
    shape = step.shape(kernel.value)
    if alone:
        tensor = _batch_matmul(step, kernel, views[0], views[1], shape)
        step.give(kernel, tensor, row_major(shape))
        return
    product = step.build.tensor(f"{step.name}_product", shape)
    _emit_matmul(step, kernel, views[0], views[1], product)
    tensor = product
    if alpha != 1.0:
        factor = step.build.constant(f"{step.name}_alpha", np.array([alpha], np.float32), "f32")
        tensor = step.build.tensor(f"{step.name}_scaled", shape)
        step.build.emit("MUL", [product, factor], [tensor], MulOptions())
    if step.has(2):
        addend, added = step.constant(2), step.value(2)
        if addend is not None:
            other = step.low.store(scaled(addend.plain(), beta))
        else:
            if beta != 1.0:
                raise Refusal("Gemm with a computed addend takes no beta")
            other = step.low.laid(added, row_major(step.shape(added)), step.shape(added), None)
        result = step.result(kernel, shape)
        step.build.emit("ADD", [tensor, other], [result], AddOptions(pot_scale_int16=False))
        tensor = result
    step.give(kernel, tensor, row_major(shape))


def lower_matmul(step: Step) -> None:
    left, right = step.value(0), step.value(1)
    weight, first = step.constant(1), step.constant(0)
    if weight is not None and len(weight.shape) == 2 and not _is_operand(step, weight):
        last, bias = _bias_behind(step, weight.shape[1])
        kernel = step.kernel([left], fuses=True, last=last)
        turned = weight.rearranged(np.transpose, axis=0)
        tensor, layout = fully_connected(step, kernel, left, turned, bias, rank=len(step.shape(kernel.value)))
        step.give(kernel, tensor, layout)
    elif first is not None and len(first.shape) == 2 and weight is None and _is_turned(step, first, right):
        _constant_left(step, first, right)
    else:
        _product_of_two(step, left, right)


def _is_operand(step: Step, constant: Constant) -> bool:
    """Whether a matrix is no weight but an operand like any other: of 16 bits, or of 8 with a zero_point."""
    q = constant.qparams
    if q is None or q.axis is not None or step.low.compute(step.node) is not Compute.INTEGER:
        return False
    return q.storage == "i16" or (q.storage == "i8" and bool(q.zero_point.any()))


def _is_turned(step: Step, weight: Constant, right: ir.Value) -> bool:
    """Whether [..., K, N] is better read as [..., N, K]: it lies so, or the weights are no plain numbers."""
    rank = len(step.shape(right))
    if rank < 2:
        return False
    return not weight.is_plain or step.low.perm(right, None) == (*range(rank - 2), rank - 1, rank - 2)


def _bias_behind(step: Step, channels: int) -> tuple[ir.Node | None, Constant | None]:
    """The Add of a constant row that alone reads the product, when nothing is quantized between the two."""
    uses = list(step.output.uses())
    if len(uses) != 1 or step.output.is_graph_output() or uses[0].node.op_type != "Add" or uses[0].node.domain != "":
        return None, None
    node = uses[0].node
    if step.low.planned(step.output) is not None:
        return None, None
    if step.low.compute(node) is Compute.INTEGER and step.low.compute(step.node) is not Compute.INTEGER:
        return None, None
    other = node.inputs[1 - uses[0].idx]
    constant = None if other is None else step.low.constant(other)
    if constant is None or constant.dtype not in ("f32", "f16") or constant.array.size != channels:
        return None, None
    if not constant.shape or constant.shape[-1] != channels or len(constant.shape) > len(step.shape(step.output)):
        return None, None
    step.low.done.add(node)
    return node, constant


def _constant_left(step: Step, weight: Constant, right: ir.Value) -> None:
    """W x as the transpose of x' W': data [..., K, N] is read as [..., N, K]."""
    kernel = step.kernel([right], fuses=True)
    rank = len(step.shape(right))
    swap = (*range(rank - 2), rank - 1, rank - 2)
    q = kernel.q(right)
    data = step.low.transposed_view(right, swap, q)
    kernel.reads[data] = q
    tensor, layout = fully_connected(step, kernel, data, weight, None, rank=rank)
    shape = step.shape(kernel.value)
    back = transposed(layout, [shape[p] for p in swap], swap)
    assert back is not None
    step.give(kernel, tensor, back)


def _product_of_two(step: Step, left: ir.Value, right: ir.Value) -> None:
    kernel = step.kernel([left, right], integer=("i8", "i16"))
    operands = []
    for index, value in enumerate((left, right)):
        shape = step.shape(value)
        if len(shape) == 1:  # a vector is a row on the left, a column on the right
            matrix = (1, shape[0]) if index == 0 else (shape[0], 1)
            q, straight = kernel.q(value), row_major(shape)
            if step.low.constant(value) is None:
                form = step.low.form(value, q)
            else:  # stored as the matrix it is read as
                form = Form(step.low.laid(value, straight, matrix, q), straight, q)
            value = step.low.view(f"{value.name}_matrix", matrix, [Form(form.tensor, form.layout, form.qparams)])
            kernel.reads[value] = q
        operands.append(value)
    shapes = [step.shape(value) for value in operands]
    batch = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
    shape = (*batch, shapes[0][-2], shapes[1][-1])
    tensor = _batch_matmul(step, kernel, operands[0], operands[1], shape)
    step.give(kernel, tensor, row_major(shape))


def _batch_matmul(step: Step, kernel: Kernel, left: ir.Value, right: ir.Value, shape: tuple[int, ...]) -> str:
    result = step.result(kernel, shape)
    _emit_matmul(step, kernel, left, right, result)
    return result


def _emit_matmul(step: Step, kernel: Kernel, left: ir.Value, right: ir.Value, result: str) -> None:
    """BATCH_MATMUL; a factor that is there with its last two dimensions swapped is read so."""
    operands, flags = [], []
    for value in (left, right):
        q, rank = kernel.q(value), len(step.shape(value))
        if rank > 5:
            raise Refusal("multiplies more than five dimensions")
        swapped = (*range(rank - 2), rank - 1, rank - 2)
        flip = step.low.constant(value) is None and step.low.perm(value, q) == swapped
        operands.append(step.low.placed(value, swapped if flip else tuple(range(rank)), q))
        flags.append(flip)
    step.build.emit("BATCH_MATMUL", operands, [result], BatchMatMulOptions(adj_x=flags[0], adj_y=flags[1]))


LOWERINGS = {"Gemm": lower_gemm, "MatMul": lower_matmul}
