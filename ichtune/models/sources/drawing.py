"""Random weights from a seed."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import torch

# Torch initialises networks from one global generator, shared by all threads.
_DRAWING = threading.Lock()


@contextmanager
def weights_from(seed: int) -> Generator[None]:
    """Seed the random weights of networks that are built inside, without touching anyone else's random numbers."""
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed the GPUs too
        yield
