"""Checkpoints: everything that a training needs to go on after an interruption as if there had been none."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from bitwright.errors import ModelError
from bitwright.graph.io import write_bytes

_FORMAT = "bitwright training"


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a state, whole or not at all.

    Raises:
        OutputError: the folder is not writable, the disk is full.
    """
    held = io.BytesIO()
    torch.save({"format": _FORMAT, **state}, held)
    write_bytes(held.getvalue(), path)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote: tensors, numbers and texts alone; None where there is no file.

    Raises:
        ModelError: another kind of file, or not whole.
    """
    where = Path(path)
    if not where.exists():
        return None
    try:
        state = torch.load(where, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error) else repr(error)
        raise ModelError(
            f"the checkpoint cannot be read: {reason}", where=str(where), next="delete it to begin anew"
        ) from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ModelError("not a checkpoint of a training", where=str(where), next="name another file")
    return state
