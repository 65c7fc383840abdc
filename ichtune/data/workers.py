"""Processes that read files, and hand back what they made of them in order."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Final, Self, TypeVar

AHEAD: Final = 3  # chunks in flight per worker, which limits memory

_Place = TypeVar("_Place")
_Result = TypeVar("_Result")


class Workers:
    """Up to `count` processes, started as work comes, which serve one pass over files after another.

    With a single one, or for a single chunk, the work is done in this process.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def in_order(
        self,
        reader: Callable[[int, list[_Place]], _Result],
        places: Sequence[_Place],
        chunks: Sequence[range],
        offset: int = 0,
    ) -> Iterator[_Result]:
        """Yield what `reader` returns for each chunk of `places`, whose entries count from `offset`.

        Raises:
            OSError: a process was killed from outside.
        """
        tasks = ((offset + chunk.start, list(places[chunk.start : chunk.stop])) for chunk in chunks)
        if self.count == 1 or len(chunks) < 2:
            yield from (reader(first, part) for first, part in tasks)
            return
        pool = self._pool = self._pool or ProcessPoolExecutor(
            self.count, get_context("spawn"), initializer=_end_with_parent
        )
        pending: deque[Future[_Result]] = deque()
        try:
            for first, part in tasks:
                pending.append(pool.submit(reader, first, part))
                if len(pending) >= AHEAD * self.count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise OSError(
                "a reading process was killed (out of memory?); run the same command again"
            ) from error
        finally:
            for left in pending:
                left.cancel()


def _end_with_parent() -> None:
    """Make this worker exit with its parent; if the parent is killed, it would otherwise wait for work forever."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
