"""A training's checkpoint on disk: tensors and plain data, never code."""

import io
from pathlib import Path
from typing import Any

import torch

from ichtune.files import replacing
from ichtune.models.torch_file import load_torch


class DamagedCheckpoint(ValueError):
    """A file that is no checkpoint, or was cut short."""


def save_checkpoint(file: Path, content: dict[str, Any]) -> None:
    """Write `content` in the place of what was there.

    Raises:
        OSError: the disk is full, say.
    """
    buffer = io.BytesIO()  # torch, writing a file itself, would hide that a disk is full
    torch.save(content, buffer)
    with replacing(file) as beside:
        beside.write_bytes(buffer.getbuffer())


def load_checkpoint(file: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, its tensors on the CPU.

    Raises:
        DamagedCheckpoint: the file is no such checkpoint.
        FileNotFoundError: there is none.
    """
    try:
        return load_torch(file)
    except ValueError as error:
        raise DamagedCheckpoint(str(error)) from None
