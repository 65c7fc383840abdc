"""The feature bank built by Ray tasks, on all cores or GPUs of the cluster."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray

from ichtune.bank.build import Work, compute_chunk
from ichtune.cluster.capacity import Capacity

AHEAD = 2  # tasks that wait for each one at work: a large store has thousands of chunks


def compute_on(capacity: Capacity) -> Callable[[Work], Iterable[int]]:
    """Gives what computes a bank's work by tasks: one a core with a thread each, or one a GPU with its cores."""
    slots = capacity.gpus or capacity.cpus
    # A GPU waits for pictures, which take one core to render 1,600 a second.
    threads = capacity.cores_per_gpu if capacity.gpus else 1
    # A task keeps its process, and with it the backbone that it has built, for the next one.
    task: Any = ray.remote(compute_chunk)  # ty: ignore[no-matching-overload]
    task = task.options(num_cpus=threads, num_gpus=1 if capacity.gpus else 0, max_retries=3)

    def compute(work: Work) -> Iterator[int]:
        pending: list[ray.ObjectRef] = []
        for part, chunk in work:
            pending.append(task.remote(part, chunk, threads=threads))
            if len(pending) >= (1 + AHEAD) * slots:
                done, pending = ray.wait(pending)
                yield from ray.get(done)
        while pending:
            done, pending = ray.wait(pending)
            yield from ray.get(done)

    return compute
