"""The machine: the best instruction set that kernels may use."""

from __future__ import annotations

import os

from bitwright import _engine
from bitwright.errors import UsageError


def usable_isa() -> str:
    """What this machine has, capped by BITWRIGHT_ISA: scalar, avx2, avx512vnni or amx.

    Raises:
        UsageError: BITWRIGHT_ISA names none.
    """
    if not _engine.environment_cap_is_valid():
        raise UsageError(
            f"BITWRIGHT_ISA is {os.environ['BITWRIGHT_ISA']!r}", next="one of scalar, avx2, avx512vnni, amx; or unset"
        )
    return _engine.usable_isa()
