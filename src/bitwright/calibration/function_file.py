"""Samples from `file.py:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bitwright.errors import BitwrightError, SampleError, UsageError


def call_function(path: Path, name: str) -> Any:
    """What a function of a Python file gives: called again whenever the samples are read again."""
    where = f"{path}:{name}"
    if not path.exists():
        raise SampleError("there is no such file", where=str(path), next="give an existing file.py:function")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:  # an import would leave a folder of bytecode beside the file
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except Exception as error:
        raise SampleError(
            f"the file fails when imported: {type(error).__name__}: {error}", where=str(path), next="run it on its own"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        offered = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise UsageError(
            f"no function {name!r} in the file", where=str(path), next=f"it has: {', '.join(offered) or 'no functions'}"
        )
    made = _guarded(function, where)
    if not isinstance(made, Iterator):
        return made
    first = [made]
    return lambda: _guarded_items(first.pop() if first else _guarded(function, where), where)


def _guarded(function: Callable[[], Any], where: str) -> Any:
    try:
        return function()
    except BitwrightError:
        raise
    except Exception as error:
        raise SampleError(
            f"the function fails: {type(error).__name__}: {error}", where=where, next="run it on its own"
        ) from error


def _guarded_items(made: Iterator[Any], where: str) -> Iterator[Any]:
    done = object()
    while (item := _guarded(lambda: next(made, done), where)) is not done:
        yield item
