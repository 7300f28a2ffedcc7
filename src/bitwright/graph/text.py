"""The text form of a graph: ONNX's own textual syntax, read for tests and printed for people."""

from __future__ import annotations

import onnx_ir as ir


def parse(text: str) -> ir.Model:
    """A model from ONNX's textual syntax.

    >>> model = parse('''<ir_version: 10, opset_import: ["": 21]>
    ... g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }''')
    >>> [node.op_type for node in model.graph]
    ['Relu']
    """
    return ir.from_onnx_text(text)


def to_text(model: ir.Model) -> str:
    """The model in ONNX's textual syntax; large constants are shown by type and shape alone."""
    return ir.to_onnx_text(model, exclude_initializers=True)
