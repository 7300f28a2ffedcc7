"""Who imports whom: read from every module's source, held against the table in docs/architecture.md."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bitwright"
MODULES = sorted(SOURCE.rglob("*.py"))

#: Third-party frameworks, and the rooms that may import them (inside functions too).
BORDERS = {
    "torch": {"importers", "training"},
    "tensorflow": {"importers"},
    "tf2onnx": {"importers"},
    "keras": {"importers", "compat"},
    "ai_edge_litert": {"runtime"},
    "tflite": {"formats"},
    "flatbuffers": {"formats"},
    "typer": {"cli"},
    "click": {"cli"},
    "PIL": {"calibration"},
}


@functools.cache
def allowed_rooms() -> dict[str, set[str]]:
    """Room -> rooms it may import, from the table. "all of the above" means every row before, "but x" not x."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)(?:/|\.pyi?)` \|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    table: dict[str, set[str]] = {}
    rooms = [room for room, _ in rows]
    for room, may in rows:
        granted, _, withheld = may.partition(" but ")
        allowed = set(re.findall(r"[a-z_]+", granted)) & set(rooms)
        if re.search(r"\ball\b.*\babove\b", granted):
            allowed |= set(table)
        table[room] = allowed - set(re.findall(r"[a-z_]+", withheld))
    return table


def imported_names(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """Dotted names of every import, at the top and inside functions; relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # "from bitwright import api" imports a room; what else is imported from a module is a name in it.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room that a dotted name lies in; "api" for names of the package itself, None outside bitwright."""
    parts = name.split(".")
    if parts[0] != "bitwright":
        return None
    table = allowed_rooms()
    if len(parts) > 1 and parts[1] in table:
        return parts[1]
    return "api"  # `import bitwright as bw` and `from bitwright import quantize` both reach the public face


def violations(path: Path, source: str) -> list[str]:
    """Imports of one module that its room may not have."""
    parts = ("bitwright", *path.relative_to(SOURCE).with_suffix("").parts)
    if parts[1] == "__init__":
        return []  # the public face names every room, and loads none until it is asked
    room, package = parts[1], parts[:-1]
    allowed = allowed_rooms()
    if room not in allowed:
        return [f"{path.relative_to(ROOT)}: room {room} is not in docs/architecture.md"]
    found = []
    for name in imported_names(ast.parse(source), package):
        target, top = room_of(name), name.split(".")[0]
        if name == "bitwright.__version__":
            continue
        if target is not None and target != room and target not in allowed[room]:
            found.append(f"{path.relative_to(ROOT)}: {room} may not import {name}")
        if top in BORDERS and room not in BORDERS[top]:
            found.append(f"{path.relative_to(ROOT)}: {top} is imported in {', '.join(sorted(BORDERS[top]))} only")
    return found


def test_layering_table_holds_every_room():
    """The table is read whole: every folder is a row, errors imports nothing, cli does not reach below the api."""
    table = allowed_rooms()

    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert folders <= set(table)
    assert table["errors"] == set()
    assert table["numerics"] == {"errors"}
    assert "quantization" not in table["calibration"]
    assert "demo" not in table["api"]
    assert {"api", "report"} <= table["demo"]
    assert "numerics" not in table["cli"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_layering_module_imports_only_from_rooms_it_may(path):
    """By the table in docs/architecture.md, function-level imports too."""
    assert violations(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        pytest.param("calibration", "from bitwright.quantization.plan import Plan", id="upwards"),
        pytest.param("calibration", "def f():\n    import bitwright.quantization.plan", id="inside-a-function"),
        pytest.param("calibration", "from bitwright import quantization", id="from-the-package"),
        pytest.param("calibration", "from ..quantization import plan", id="relative"),
        pytest.param("report", "import bitwright as bw", id="the-public-face"),
        pytest.param("quantization", "import torch", id="a-framework"),
    ],
)
def test_layering_sees_a_forbidden_import(room, line):
    """Each way of writing an import is seen."""
    assert violations(SOURCE / room / "made_up.py", line)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        pytest.param("calibration", "from bitwright.numerics.qparams import QuantParams", id="downwards"),
        pytest.param("calibration", "from .statistics import Statistics", id="relative-in-its-own-room"),
        pytest.param("demo", "import bitwright as bw", id="the-public-face"),
        pytest.param("importers", "def f():\n    import torch", id="a-framework-at-the-border"),
    ],
)
def test_layering_lets_an_allowed_import_be(room, line):
    """What the table allows is no violation."""
    assert violations(SOURCE / room / "made_up.py", line) == []


def test_import_bitwright_loads_no_framework():
    """`import bitwright` stays light: nothing heavy is in sys.modules after it."""
    heavy = ["onnx", "onnx_ir", "onnxscript", "onnxruntime", "torch", "numpy", "rich", "typer", "PIL"]
    code = f"import sys, bitwright; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_api_leaves_the_vocabulary_and_the_kernels_steps_until_called():
    """Whoever quantizes an .onnx file does not wait for TFLite's operators."""
    late = ["bitwright.program.registry", "bitwright.runtime.session", "bitwright.runtime.steps.registry"]
    code = f"import sys, bitwright.api; print([name for name in {late} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
