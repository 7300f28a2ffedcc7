"""The entry point: exit codes, help, start-up."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bitwright import __version__
from bitwright.cli import main
from bitwright.cli.main import explain, run
from bitwright.errors import ModelError, OutputError, UsageError

VERBS = ("quantize", "calibrate", "transform", "transform-graph", "quantize-graph", "compare", "inspect", "demo")


def test_help_lists_every_verb(capsys):
    """--help names each verb and leaves with 0."""
    assert run(["--help"]) == 0

    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


def test_no_arguments_show_the_help(capsys):
    """`bitwright` alone says what it can do."""
    assert run([]) == 0
    assert "quantize" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb, capsys):
    """Each verb explains itself and offers --json."""
    assert run([verb, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_version_is_the_packages(capsys):
    """--version prints the version."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bitwright {__version__}\n"


def test_help_is_light():
    """--help imports neither onnx nor numpy, and takes less than half a second (best of three)."""
    code = (
        "import sys; from bitwright.cli.main import run; run(['quantize', '--help'])\n"
        "heavy = [m for m in ('numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'torch') if m in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        taken.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
    assert min(taken) < 0.5


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (UsageError("wrong"), "UsageError", 2),
        (ModelError("broken"), "ModelError", 1),
        (FileNotFoundError(2, "No such file or directory", "m.onnx"), "OutputError", 1),
        (OSError(28, "No space left on device"), "OutputError", 1),
        (MemoryError(), "InternalError", 1),
        (ZeroDivisionError("division by zero"), "InternalError", 1),
        (KeyboardInterrupt(), "Interrupted", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_error_says_what_where_and_next(error, kind, code, monkeypatch, capsys):
    """Whatever a verb raises becomes three lines and an exit code, without a traceback."""

    def fail():
        raise error

    monkeypatch.setattr("bitwright.cli.app.command", fail)

    assert run(["inspect", "m.onnx"]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"{kind}: ")
    assert "\n  where: " in err
    assert "\n  next:  " in err
    assert "Traceback" not in err


def test_explain_keeps_a_bitwright_error():
    """An error that says everything is passed on as it is."""
    error = OutputError("what", where="where", next="next")

    assert explain(error) is error


def test_json_keeps_standard_output_clean(monkeypatch, capsys):
    """What a framework prints on the way goes to standard error."""
    from bitwright.cli.answer import Answer

    def noisy():
        def go(arguments, **options):
            print("noise")
            return Answer({"a": 1}, "text")

        return go

    monkeypatch.setattr("bitwright.cli.app.command", noisy)

    assert run(["inspect", "--json"]) == main.DONE
    out, err = capsys.readouterr()
    assert out == '{\n "a": 1\n}\n'
    assert err == "noise\n"


def test_a_closed_pipe_is_no_error():
    """`bitwright --help | head -1` ends quietly."""
    code = "from bitwright.cli.main import main; main()"
    done = subprocess.run(
        f"{sys.executable} -c '{code}' quantize --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Usage" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
