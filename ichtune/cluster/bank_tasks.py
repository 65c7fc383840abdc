"""Building the feature bank with Ray tasks, on all cores or GPUs of the cluster."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayTaskError

from ichtune.bank.build import Work, compute_chunk
from ichtune.cluster.capacity import Capacity
from ichtune.errors import InputError

AHEAD = 2  # tasks queued per running one: a large store has thousands of chunks


def compute_on(capacity: Capacity) -> Callable[[Work], Iterable[int]]:
    """Return what computes a bank's work with Ray tasks: one per core, or one per GPU with its share of cores."""
    slots = capacity.gpus or capacity.cpus
    # A GPU waits for images; one core renders 1,600 of them a second.
    threads = capacity.cores_per_gpu if capacity.gpus else 1
    # A worker process is reused by the next task, together with the backbone that it has built.
    task: Any = ray.remote(compute_chunk)  # ty: ignore[no-matching-overload]
    task = task.options(num_cpus=threads, num_gpus=1 if capacity.gpus else 0, max_retries=3)

    def compute(work: Work) -> Iterator[int]:
        pending: list[ray.ObjectRef] = []
        for part, chunk in work:
            pending.append(task.remote(part, chunk, threads=threads))
            if len(pending) >= (1 + AHEAD) * slots:
                done, pending = ray.wait(pending)
                yield from _results(done)
        while pending:
            done, pending = ray.wait(pending)
            yield from _results(done)

    return compute


def _results(tasks: "list[ray.ObjectRef]") -> list[int]:
    """What tasks returned; an InputError of one is raised as it is, without Ray's traceback."""
    try:
        return ray.get(tasks)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
