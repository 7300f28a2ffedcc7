"""While another process reads a model, this one imports what comes after."""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bitwright.importers.tensorflow.kinds import kind_of
from bitwright.importers.tensorflow.process import begun, is_free

#: What quantizing, and writing its result, needs besides the reading.
_LATER = ("bitwright.api", "bitwright.lowering.lower", "bitwright.formats.tflite.write")


def load_ahead(model: Path, options: dict[str, Any]) -> Any:
    """What `bitwright.load` gives.

    Args:
        model: the path.
        options: of `load`.

    Raises:
        BitwrightError: as `load`.
    """
    import bitwright as bw

    path, elsewhere = str(model), kind_of(model) is not None and is_free() and model.exists()
    with begun(path, {**options, "tags": None}) if elsewhere else nullcontext():
        for name in _LATER if elsewhere else ():
            importlib.import_module(name)
        return bw.load(path, **options)
