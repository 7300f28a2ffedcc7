"""TensorFlow's Graph Transform Tool and `quantize_graph`: their lists of transforms, options and functions.

| theirs | here |
|---|---|
| `tensorflow.tools.graph_transforms.TransformGraph` | `TransformGraph` |
| `transform_graph --transforms='...'` | `bitwright transform-graph --transforms='...'` |
| a run of a graph with `insert_logging`, and its log | `log_values` |
| `quantize_graph --mode=eightbit` | `quantize_graph`, `bitwright quantize-graph --mode=eightbit` |
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.compat.graph_transforms.logged_run import log_values as log_values
    from bitwright.compat.graph_transforms.script import quantize_graph as quantize_graph
    from bitwright.compat.graph_transforms.transform import TransformGraph as TransformGraph
    from bitwright.compat.graph_transforms.transform import transform_graph as transform_graph

_HOME = {
    "TransformGraph": "transform",
    "log_values": "logged_run",
    "quantize_graph": "script",
    "transform_graph": "transform",
}

__all__ = ["TransformGraph", "log_values", "quantize_graph", "transform_graph"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
