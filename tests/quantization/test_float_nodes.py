"""What a report lists as float."""

from __future__ import annotations

import numpy as np

import bitwright as bw
from bitwright.graph.text import parse


def test_report_leaves_out_nodes_that_compute_on_shapes():
    """A Shape node gives no floats: it is not listed among what stayed float, Erf is."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
        g (float[N, 4] x) => (float[N, 4] y, int64[2] s) { s = Shape(x) y = Erf(x) }""")

    small = bw.quantize(model, "int8", calibration=[np.ones((1, 4), np.float32)])

    assert [node.op for node in small.report.float_nodes] == ["Erf"]
    assert [node.op for node in bw.inspect(model).float_nodes] == ["Erf"]
