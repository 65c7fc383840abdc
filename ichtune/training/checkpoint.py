"""Training checkpoints on disk: tensors and plain data, never code."""

import io
from pathlib import Path
from typing import Any

import torch

from ichtune.files import replacing
from ichtune.models.torch_file import load_torch


class DamagedCheckpoint(ValueError):
    """A file that isn't a checkpoint, or is truncated."""


def save_checkpoint(file: Path, content: dict[str, Any]) -> None:
    """Write `content`, replacing an earlier checkpoint.

    Raises:
        OSError: it can't be written, for instance because the disk is full.
    """
    buffer = io.BytesIO()  # if torch wrote the file, it would hide that the disk is full
    torch.save(content, buffer)
    with replacing(file) as beside:
        beside.write_bytes(buffer.getbuffer())


def load_checkpoint(file: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, with tensors on the CPU.

    Raises:
        DamagedCheckpoint: the file isn't a whole checkpoint.
        FileNotFoundError: the file doesn't exist.
    """
    try:
        return load_torch(file)
    except ValueError as error:
        raise DamagedCheckpoint(str(error)) from None
