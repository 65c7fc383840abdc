"""Augmented images as training inputs, rendered by threads slightly ahead of the network."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch

from ichtune.data.scans import Scans
from ichtune.inputs.augment import render
from ichtune.inputs.kept_images import KeptImages
from ichtune.recipe import Level, Model
from ichtune.windows import Window

cv2.setNumThreads(0)  # the pool's threads already run in parallel

AHEAD: Final = 2  # chunks rendered while the network processes an earlier one


class _Chunk(NamedTuple):
    images: np.ndarray
    work: list[Future[None]]


class ImageSource:
    """Images of a store's slices, float32 `[n, C, S, S]` in 0..1: a channel for each of the model's windows.

    With `model.neighbours`, these are repeated for each slice within its reach, from the feet towards the head, all
    augmented alike. The ends of a scan and slices without a position stand in for slices that aren't there.

    Epoch e shows view `e mod views` of the augmentation level; with as many views as epochs, each epoch is new. An
    image depends only on (seed, level, view, row), never on the number of threads.
    """

    def __init__(
        self,
        hu: np.ndarray,
        model: Model,
        level: Level,
        *,
        seed: int,
        views: int,
        threads: int = 1,
        scans: Scans | None = None,
        shared: bool = False,
    ) -> None:
        """`shared` sources, which several folds train on in turn, keep images that the next fold asks for again.

        Raises:
            ValueError: the model reads neighbouring slices, but the slices' scans are not given.
        """
        if model.neighbours and scans is None:
            raise ValueError(f"a model with {model.neighbours} neighbours needs the slices' scans")
        self.hu = hu
        """Hounsfield units, int16 `[N, S, S]`."""
        self.scans = scans
        self.reach, self.channels = model.neighbours, model.channels
        self.windows = [Window.parse(text) for text in model.windows]
        self.size = model.size
        self.level = level
        self.seed = seed
        self.views = views
        self.threads = threads
        shape = (self.channels, self.size, self.size)
        self.kept = {augmented: KeptImages(shape) for augmented in (True, False)} if shared else {}

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        """Yield the images of each chunk of rows (int64 `[n]`) in order; not augmented if the epoch is None."""
        level, view = ("normal", 0) if epoch is None else (self.level, epoch % self.views)
        kept = self.kept.get(epoch is not None)
        if kept:
            kept.begin(view)
        chunks = iter(chunks)
        first = list(islice(chunks, 2))
        if len(first) < 2:  # threads for a single chunk take longer to start than to render it
            yield from (self._rendered(rows, level, view, kept) for rows in first)
            return
        pool = ThreadPoolExecutor(self.threads, "render")
        ready: deque[_Chunk] = deque()
        try:
            for rows in chain(first, chunks):
                ready.append(self._start(pool, rows, level, view, kept))
                if len(ready) > AHEAD:
                    yield _finish(ready.popleft())
            while ready:
                yield _finish(ready.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _rendered(self, rows: np.ndarray, level: Level, view: int, kept: KeptImages | None) -> torch.Tensor:
        images = self._empty(len(rows))
        self._render(images, rows, level, view, kept)
        return _grey_to_float(images)

    def _empty(self, count: int) -> np.ndarray:
        return np.empty((count, self.channels, self.size, self.size), np.uint8)

    def _start(
        self, pool: ThreadPoolExecutor, rows: np.ndarray, level: Level, view: int, kept: KeptImages | None
    ) -> _Chunk:
        images = self._empty(len(rows))
        shares = [slice(first, None, self.threads) for first in range(self.threads)]
        work = [pool.submit(self._render, images[share], rows[share], level, view, kept) for share in shares]
        return _Chunk(images, work)

    def _render(
        self, images: np.ndarray, rows: np.ndarray, level: Level, view: int, kept: KeptImages | None
    ) -> None:
        seen = self.scans.neighbours(rows, self.reach) if self.scans and self.reach else rows[:, None]
        for image, row, slices in zip(images, rows.tolist(), seen, strict=True):
            known = kept.get(row) if kept else None
            if known is not None:
                image[:] = known
                continue
            hu = [self.hu[one] for one in slices]
            image[:] = render(hu, self.windows, self.size, level=level, seed=self.seed, view=view, row=row)
            if kept:
                kept.keep(row, image)


def _finish(chunk: _Chunk) -> torch.Tensor:
    for share in chunk.work:
        share.result()
    return _grey_to_float(chunk.images)


def _grey_to_float(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).float().div_(255)
