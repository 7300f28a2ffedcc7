"""`peer`: the module that runs Programs on LiteRT, for all tests of the room."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def peer() -> ModuleType:
    """tests/program/peer.py; without LiteRT the tests that ask for it are skipped."""
    pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    name = "bitwright_tests_program_peer"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("peer.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
