"""The interface of an engine, and what is raised when one can't be used."""

from typing import Protocol

import torch

from ichtune.errors import InputError


class EngineError(InputError):
    """An engine that can't compute a network here, or whose features differ from torch's."""


class Engine(Protocol):
    """A frozen backbone, ready to run with a number of threads or on a GPU."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return features, float32 `[n, D]` on any device, of images, float32 `[n, C, S, S]` in 0..1 on the CPU.

        The number of images may differ from call to call; an image's features don't depend on the others, beyond
        rounding.
        """
        ...
