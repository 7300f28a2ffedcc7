"""The entry point: runs a verb, prints what it gives back, and turns every error into what, where, next."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from bitwright.errors import BitwrightError, OutputError, UsageError

DONE, REFUSED, USAGE = 0, 1, 2

#: What Typer gives back for a Ctrl-C that it caught itself.
_CAUGHT_INTERRUPT = 130


class Interrupted(BitwrightError):
    """Ctrl-C, or a polite request to end."""


class InternalError(BitwrightError):
    """An error that bitwright should have foreseen."""


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone (`bitwright inspect m.onnx | head`): there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or bar not met, 2 usage.

    With --json, standard output holds one JSON value and nothing else; with --debug (or BITWRIGHT_DEBUG=1) the
    traceback of an error is printed as well.
    """
    as_json = "--json" in arguments
    debug = "--debug" in arguments or os.environ.get("BITWRIGHT_DEBUG", "") not in ("", "0")
    try:
        with _polite_end(), _quiet_stdout() if as_json else contextlib.nullcontext():
            from bitwright.cli.app import command

            made = command()([a for a in arguments if a != "--debug"], prog_name="bitwright", standalone_mode=False)
            if made == _CAUGHT_INTERRUPT:
                raise KeyboardInterrupt
        return _show(made, as_json)
    except BrokenPipeError:
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc(file=sys.stderr)
        told = completed(explain(error), arguments)
        try:
            _show_error(told, as_json)
        except OSError:  # standard output is full or gone: the other stream may not be
            with contextlib.suppress(OSError):
                _show_error(told, False)
        return USAGE if isinstance(told, UsageError) else REFUSED


def explain(error: BaseException) -> BitwrightError:
    """Any error as one that says what, where and next."""
    if isinstance(error, BitwrightError):
        return error
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return Interrupted("interrupted; nothing was written", next="run the command again")
    # Typer brings click under a name that changed between versions: its usage errors are known by what they offer.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "bitwright"
        message = str(error.format_message()).strip().rstrip(".").replace("\n", " ").replace("Value error, ", "")
        return UsageError(message, where=path, next=f"`{path} --help` lists the arguments and options")
    if isinstance(error, MemoryError):
        return InternalError(
            "there is not enough memory",
            next="give fewer samples or smaller ones; calibration holds one batch at a time",
        )
    if isinstance(error, OSError):
        where = error.filename if isinstance(error.filename, str) else None
        return OutputError(
            f"a file could not be read or written: {error.strerror or error}",
            where=where or "bitwright",
            next="check that it exists, is readable, and that the disk has room",
        )
    return InternalError(
        f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300] if str(error).strip() else 'no message'}",
        where=_last_place(error),
        next="this is a mistake in bitwright: please report it with the output of the same command and --debug",
    )


def completed(error: BitwrightError, arguments: Sequence[str]) -> BitwrightError:
    """The error with a place and a next step, whoever raised it: the command itself when it names none."""
    command = next((a for a in arguments if not a.startswith("-")), "")
    error.where = error.where or " ".join(["bitwright", *arguments[:2]])
    error.next = error.next or f"`bitwright {command} --help` lists the arguments and options".replace("  ", " ")
    return error


def _last_place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{os.sep}bitwright{os.sep}" in f.filename] or list(frames)
    return f"{os.path.basename(own[-1].filename)}, line {own[-1].lineno}" if own else "bitwright"


def _show(made: Any, as_json: bool) -> int:
    from bitwright.cli.answer import Answer

    if not isinstance(made, Answer):  # --help and --version have printed
        return int(made or DONE) if isinstance(made, int) else DONE
    made.show(as_json)
    return made.code


def _show_error(error: BitwrightError, as_json: bool) -> None:
    if as_json:
        import json

        told = {"type": type(error).__name__, "what": error.what, "where": error.where, "next": error.next}
        print(json.dumps({"error": told}, indent=1))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Whatever a framework prints on the way goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _polite_end() -> Iterator[None]:
    """SIGTERM ends a verb as Ctrl-C does, so that nothing half-written stays."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever started it handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
