"""bitwright makes trained networks small and fast, and says what it cost.

>>> import bitwright as bw
>>> bw.quantize.__module__
'bitwright.api'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.api import (
        Model,
        Recipe,
        Statistics,
        calibrate,
        load,
        quantize,
        run,
        transform,
    )
    from bitwright.compiling import compile
    from bitwright.errors import BitwrightError
    from bitwright.measuring import benchmark, compare, inspect
    from bitwright.packing import pack, unpack
    from bitwright.retraining import convert, fit, prepare_qat, trainable
    from bitwright.slimming import (
        cluster_weights,
        prune_channels,
        prune_low_magnitude,
        sparsity,
        strip_clustering,
        strip_pruning,
    )
    from bitwright.tables import read_table, write_table
    from bitwright.training.schedules import ConstantSparsity, PolynomialDecay

__version__ = "0.1.0"

__all__ = [
    "BitwrightError",
    "ConstantSparsity",
    "Model",
    "PolynomialDecay",
    "Recipe",
    "Statistics",
    "benchmark",
    "calibrate",
    "cluster_weights",
    "compare",
    "compile",
    "convert",
    "fit",
    "inspect",
    "load",
    "pack",
    "prepare_qat",
    "prune_channels",
    "prune_low_magnitude",
    "quantize",
    "read_table",
    "run",
    "sparsity",
    "strip_clustering",
    "strip_pruning",
    "trainable",
    "transform",
    "unpack",
    "write_table",
]

_ROOMS = dict.fromkeys(__all__, "bitwright.api") | {
    name: room
    for room, names in {
        "bitwright.errors": "BitwrightError",
        "bitwright.compiling": "compile",
        "bitwright.measuring": "benchmark compare inspect",
        "bitwright.packing": "pack unpack",
        "bitwright.retraining": "convert fit prepare_qat trainable",
        "bitwright.slimming": "cluster_weights prune_channels prune_low_magnitude sparsity strip_clustering"
        " strip_pruning",
        "bitwright.tables": "read_table write_table",
        "bitwright.training.schedules": "ConstantSparsity PolynomialDecay",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'bitwright' has no attribute {name!r}")
    value = getattr(importlib.import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
