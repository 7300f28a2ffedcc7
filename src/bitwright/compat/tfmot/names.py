"""Names of tfmot's modules, whose code is imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from bitwright.compat.tfmot.framework import check_keras


def found(asker: str, offered: Sequence[str], name: str, *modules: str) -> Any:
    """What a name of one of tfmot's modules stands for.

    Args:
        asker: the module that is asked.
        offered: the names that it has.
        name: what is asked for.
        modules: of this package; one of them has it.

    Raises:
        AttributeError: it is not offered.
        MissingDependencyError, UsageError: of `check_keras`.
    """
    if name in offered:
        check_keras()
        for module in modules:
            loaded = importlib.import_module(f"bitwright.compat.tfmot.{module}")
            if name in vars(loaded):
                return vars(loaded)[name]
    raise AttributeError(f"module {asker!r} has no attribute {name!r}; it offers {', '.join(offered)}")
