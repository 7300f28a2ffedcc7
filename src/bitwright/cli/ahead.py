"""While another process reads a model, this one imports what comes after."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bitwright.importers.tensorflow.kinds import kind_of

#: What quantizing, and writing its result, needs besides the reading.
_LATER = ("onnxruntime", "bitwright.api", "bitwright.lowering.lower", "bitwright.formats.tflite.write")


def load_ahead(model: Path, options: dict[str, Any]) -> Any:
    """What `bitwright.load` gives.

    Args:
        model: the path.
        options: of `load`.

    Raises:
        BitwrightError: as `load`.
    """
    import bitwright as bw

    if kind_of(model) is None:
        return bw.load(str(model), **options)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(bw.load, str(model), **options)
        for name in _LATER:
            importlib.import_module(name)
        return reading.result()
