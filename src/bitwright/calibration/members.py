"""Files in a folder or a zip, by relative path, and the classes that their folders make."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from bitwright.errors import SampleError


class Folder:
    """Files below a folder, by relative path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.where = str(root)

    def names(self) -> Iterator[str]:
        for folder, _, files in os.walk(self._root):
            yield from (Path(folder, name).relative_to(self._root).as_posix() for name in files)

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise SampleError(
                f"the file cannot be read: {error.strerror}",
                where=str(self._root / name),
                next="remove it, or allow it",
            ) from error


class Zip:
    """Members of a zip. Reading is safe from several threads: ZipFile locks its file."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise SampleError(
                f"not a zip file, or a damaged one ({error})", where=self.where, next="make the zip again"
            ) from error

    def names(self) -> Iterator[str]:
        yield from (entry.filename for entry in self._archive.infolist() if not entry.is_dir())

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except Exception as error:  # zlib.error, BadZipFile, RuntimeError for a password, NotImplementedError
            raise SampleError(
                f"a member cannot be read ({error})", where=f"{self.where}: {name}", next="make the zip again"
            ) from error


def class_labels(names: Sequence[str]) -> list[int] | None:
    """The class of each path: which sub-folder of the deepest common folder it is in, in alphabetical order.

    None when they are all in one folder, or some in the common folder itself.

    >>> class_labels(["train/cat/1.png", "train/dog/1.png", "train/dog/2.png"])
    [0, 1, 1]
    """
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    levels = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False))
    common = len(list(levels))
    if any(len(folder) == common for folder in folders):
        return None
    order = {name: i for i, name in enumerate(sorted({folder[common] for folder in folders}))}
    return [order[folder[common]] for folder in folders]


def hidden(name: str) -> bool:
    """Whether a path is what systems leave behind: a dot file, a Mac's resource fork."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
