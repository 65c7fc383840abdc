"""Reading a source's files with Ray tasks, on all cores of the cluster."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from ichtune.cluster.capacity import Capacity
from ichtune.cluster.shared_folders import check_reading
from ichtune.data.reading import ChunkReading, Place, Read, Reader
from ichtune.data.workers import AHEAD
from ichtune.errors import InputError


class ChunkRead(NamedTuple):
    """What a task made of a chunk of places."""

    reads: list[Read]
    pixels: Path
    unseen: str
    """The first file that the task's node doesn't see."""
    node: str
    """The node's address."""


def read_on(capacity: Capacity) -> ChunkReading:
    """Return what reads chunks of places with Ray tasks, one per core, and yields the results in order.

    A task that is lost with its node is done again on another. What is returned raises:
        InputError: a node doesn't see a file, or the folder for the pixels.
        OSError: a task's disk is full, or its node was lost too often.
    """
    task: Any = ray.remote(_read)
    task = task.options(num_cpus=1, max_retries=3)

    def read(
        reader: Reader, places: list[Place], chunks: Sequence[range], offset: int
    ) -> Iterator[tuple[list[Read], Path]]:
        if not chunks:
            return
        # A task's working folder is another.
        reader = replace(reader, root=reader.root.absolute(), chunks=reader.chunks.absolute())
        check_reading(reader, places[chunks[0].start])
        pending: deque[ray.ObjectRef[ChunkRead]] = deque()
        for chunk in chunks:
            pending.append(task.remote(reader, offset + chunk.start, places[chunk.start : chunk.stop]))
            if len(pending) >= AHEAD * max(1, capacity.cpus):
                yield _result(pending.popleft(), reader)
        while pending:
            yield _result(pending.popleft(), reader)

    return read


def _read(reader: Reader, first: int, places: list[Place]) -> ChunkRead:
    unseen = next((place.file for place in places if not (reader.root / place.file).is_file()), "")
    return ChunkRead(*reader(first, places), unseen, ray.util.get_node_ip_address())


def _result(task: "ray.ObjectRef[ChunkRead]", reader: Reader) -> tuple[list[Read], Path]:
    try:
        found = ray.get(task)
    except RayTaskError as error:
        if isinstance(error.cause, OSError):
            raise error.cause from None
        raise
    except RayError as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"a reading task was lost ({reason}); run the same command again") from error
    # A file that has vanished everywhere is rejected, as without a cluster; one that a node doesn't see must not be.
    if found.unseen and (reader.root / found.unseen).is_file():
        raise InputError(
            f"{reader.root / found.unseen}: the node {found.node} doesn't see this file; put the source into a "
            "folder that all nodes share"
        )
    return found.reads, found.pixels
