"""A network's kernels, recorded once and launched together: small networks wait longer for launches than for results.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from collections.abc import Callable
from typing import Final

import torch

from ichtune.bank.engines.agreement import difference

WARM_UP: Final = 3
"""Runs before recording, in which cuDNN chooses its algorithms and allocates."""
LARGEST_DIFFERENCE: Final = 0.01
"""Between replayed and directly computed features, relative to their norm; cuDNN may choose other algorithms."""


class CudaGraph:
    """A function of images on a GPU, replayed for batches of the size it was recorded with.

    Other sizes are computed directly, and so is everything if the function can't be recorded, or if its replay differs.
    """

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> None:
        self._compute = compute
        self._images = images.clone()
        self._graph = self._recorded()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self._graph is None or images.shape != self._images.shape:
            return self._compute(images)
        return self._replay(self._graph, images)

    @property
    def replays(self) -> bool:
        """Whether recording succeeded."""
        return self._graph is not None

    def _replay(self, graph: torch.cuda.CUDAGraph, images: torch.Tensor) -> torch.Tensor:
        self._images.copy_(images)
        graph.replay()
        return self._features.clone()  # the next replay overwrites them

    @torch.no_grad()
    def _recorded(self) -> torch.cuda.CUDAGraph | None:
        direct = self._warmed_up()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._features = self._compute(self._images)
        except RuntimeError:  # it synchronises with the CPU, which can't be recorded
            return None
        replayed = self._replay(graph, self._images.clone())
        return graph if difference(replayed, direct) <= LARGEST_DIFFERENCE else None

    def _warmed_up(self) -> torch.Tensor:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                features = self._compute(self._images)
        torch.cuda.current_stream().wait_stream(stream)
        return features
