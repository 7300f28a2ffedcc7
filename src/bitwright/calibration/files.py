"""Samples from a path: arrays, folders and zips of pictures or arrays, a function in a Python file."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.drawing import draw
from bitwright.calibration.feeds import LABEL_NAMES, InputSpec
from bitwright.calibration.function_file import call_function
from bitwright.calibration.idx import is_idx, labels_beside, read_idx
from bitwright.calibration.members import Folder, Zip, class_labels, hidden
from bitwright.calibration.preprocess import Preprocess, parse_preprocess
from bitwright.calibration.samples import Samples, empty, open_samples
from bitwright.calibration.stored_array import stored
from bitwright.errors import BitwrightError, SampleError, UsageError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
ARRAYS = (".npy", ".npz")
_FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>\w+)")


def open_source(
    source: Any,
    inputs: Sequence[InputSpec],
    *,
    preprocess: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Samples:
    """Samples from a path, or from any object that `open_samples` takes. Arguments as `open_path` has them.

    Raises:
        UsageError: preprocessing of what is not read from files.
        SampleError: as `open_path` and `open_samples`.
    """
    if isinstance(source, str | os.PathLike):
        return open_path(source, inputs, preprocess=preprocess, samples=samples, seed=seed, shard=shard)
    if preprocess is not None:
        raise UsageError("preprocess is for files of images or arrays", next="give samples as the model takes them")
    return open_samples(source, inputs, samples=samples, seed=seed).shard(*shard)


def open_path(
    path: str | os.PathLike[str],
    inputs: Sequence[InputSpec],
    *,
    preprocess: str | Preprocess | None = None,
    samples: int | None = None,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Samples:
    """Samples from what a path names.

    Args:
        path: `.npy`; `.npz` (arrays by input name, or one array; `label`, `labels` or `y` are labels); a folder or a
            `.zip` of pictures or of `.npy` (sub-folders are classes, in alphabetical order); an MNIST idx file;
            `file.py:function` (whatever `open_samples` takes, returned by the function).
        inputs: what the model takes, of `input_specs`.
        preprocess: see `preprocess.KEYS`; for stored arrays scale, mean and std apply.
        samples: take only so many, drawn evenly over the classes and the whole of each.
        seed: of the draw.
        shard: (i, n) takes the i-th of n parts; sample indices stay those of the whole.

    Raises:
        SampleError: nothing there, or it cannot be read; names the file.
        UsageError: a preprocessing that cannot be read, a function that is not in the file.
    """
    how = preprocess if isinstance(preprocess, Preprocess) else parse_preprocess(preprocess)
    if samples is not None and samples < 1:
        raise UsageError(f"at least one sample is needed (got {samples})", next="128 to 512 are usual")
    called = _FUNCTION.fullmatch(os.fspath(path))
    if called:
        return open_samples(
            call_function(Path(called["file"]), called["function"]), inputs, samples=samples, seed=seed
        ).shard(*shard)
    where = Path(path)
    if not where.exists():
        raise SampleError(
            "there is no such file or folder",
            where=str(where),
            next="give a .npy, .npz, .zip, a folder, or file.py:function",
        )
    suffix = where.suffix.lower()
    if where.is_dir() or suffix == ".zip":
        opened = _from_members(Folder(where) if where.is_dir() else Zip(where), inputs, how, samples, seed)
    elif suffix in ARRAYS:
        opened = _from_arrays(_load(where, str(where)), where, inputs, how, samples, seed)
    elif suffix in PICTURES:
        opened = Samples(
            inputs, get=lambda _: _picture(where.read_bytes(), str(where), _only(inputs), how), positions=[0]
        )
    elif is_idx(where):
        opened = _from_idx(where, inputs, how, samples, seed)
    else:
        raise SampleError(
            f"samples cannot be read from a {suffix or 'nameless'} file",
            where=str(where),
            next="give a .npy, .npz, .zip, a folder of pictures or arrays, or file.py:function",
        )
    return opened.shard(*shard)


def _only(inputs: Sequence[InputSpec]) -> InputSpec:
    if len(inputs) != 1:
        raise SampleError(
            f"pictures and preprocessing serve models with one input; this one has {len(inputs)}",
            next="give a .npz with arrays by name: " + ", ".join(map(str, inputs)),
        )
    return inputs[0]


def _from_arrays(
    loaded: Any, path: Path, inputs: Sequence[InputSpec], how: Preprocess, samples: int | None, seed: int
) -> Samples:
    if isinstance(loaded, dict) and not {spec.name for spec in inputs} & set(loaded):
        data = {name: array for name, array in loaded.items() if name not in LABEL_NAMES}
        if len(inputs) == 1 and len(data) == 1:
            labels = {name: array for name, array in loaded.items() if name in LABEL_NAMES}
            loaded = {inputs[0].name: next(iter(data.values())), **labels}
        else:
            raise SampleError(
                f"the file holds {', '.join(map(repr, loaded)) or 'nothing'}, none by the name of an input",
                where=str(path),
                next="the model takes " + ", ".join(map(str, inputs)),
            )
    opened = open_samples(loaded, inputs, samples=samples, seed=seed)
    if not how.rescales:
        return opened
    spec = _only(inputs)
    return opened.mapped(lambda raw: {**raw, spec.name: how.array(np.asarray(raw[spec.name]), spec)})


def _from_idx(path: Path, inputs: Sequence[InputSpec], how: Preprocess, samples: int | None, seed: int) -> Samples:
    from PIL import Image

    spec, images, labels = _only(inputs), read_idx(path), labels_beside(path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise SampleError("not a file of images", where=str(path), next="give the idx3 file of images")
    if labels is not None and len(labels) != len(images):
        labels = None
    classes = None if labels is None else labels.tolist()
    return _pictures(lambda i: how.picture(Image.fromarray(images[i]), spec), len(images), classes, spec, samples, seed)


def _from_members(
    members: Folder | Zip, inputs: Sequence[InputSpec], how: Preprocess, samples: int | None, seed: int
) -> Samples:
    names = sorted(n for n in members.names() if n.lower().endswith(PICTURES + ARRAYS) and not hidden(n))
    if not names:
        raise SampleError(
            "there are no pictures and no arrays in it", where=members.where, next="pictures: " + " ".join(PICTURES)
        )
    kinds = {name.lower().endswith(PICTURES) for name in names}
    if len(kinds) > 1:
        raise SampleError("it holds both pictures and arrays", where=members.where, next="keep one kind in a folder")
    classes = class_labels(names)
    if kinds == {True}:
        spec = _only(inputs)

        def picture(position: int) -> NDArray[Any]:
            name = names[position]
            return _picture(members.read(name), f"{members.where}: {name}", spec, how)

        return _pictures(picture, len(names), classes, spec, samples, seed)

    def stored(position: int) -> Any:
        name = names[position]
        loaded = _load(io.BytesIO(members.read(name)), f"{members.where}: {name}")
        if not how.rescales or isinstance(loaded, dict):
            return loaded
        return how.array(loaded, _only(inputs))

    positions = draw(len(names), samples, seed=seed, groups=classes)
    labels = None if classes is None else [classes[p] for p in positions]
    return Samples(inputs, get=stored, positions=positions, labels=labels)


def _pictures(
    get: Callable[[int], NDArray[Any]],
    count: int,
    classes: Sequence[int] | None,
    spec: InputSpec,
    samples: int | None,
    seed: int,
) -> Samples:
    """One picture a sample, or as many as the model's fixed batch."""
    if not count:
        raise empty()
    fixed = spec.shape[0] if spec.shape and spec.rank != 3 else 1
    batch = fixed if isinstance(fixed, int) and fixed > 1 else 1
    positions = draw(count, None if samples is None else samples * batch, seed=seed, groups=classes)
    labels: list[Any] | None = None if classes is None else [classes[p] for p in positions]
    if batch == 1:
        return Samples([spec], get=get, positions=positions, labels=labels)
    whole = len(positions) // batch
    if not whole:
        raise SampleError(
            f"{count} pictures do not fill the model's batch of {batch}", next="export the model with a free batch"
        )
    if labels is not None:
        labels = [np.array(labels[i * batch : (i + 1) * batch]) for i in range(whole)]
    return Samples(
        [spec],
        get=lambda i: np.stack([get(p) for p in positions[i * batch : (i + 1) * batch]]),
        positions=range(whole),
        labels=labels,
    )


def _picture(data: bytes, where: str, spec: InputSpec, how: Preprocess) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return how.picture(image, spec)
    except BitwrightError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, and more
        reason = "cannot identify the format" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise SampleError(f"a broken picture ({reason})", where=where, next="remove it, or make it again") from error


def _load(source: Path | io.BytesIO, where: str) -> Any:
    """An array, or a dict of arrays of a .npz."""
    try:
        loaded = np.load(source, mmap_mode="r" if isinstance(source, Path) else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return stored(loaded, source) if isinstance(source, Path) else loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # OSError, ValueError, EOFError, BadZipFile, zlib.error
        raise SampleError(
            f"not an array file, or a damaged one ({error})",
            where=where,
            next="write it again with numpy.save or savez",
        ) from error
