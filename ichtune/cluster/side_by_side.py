"""Several long trainings at once, each in a Ray task of its own, with the progress of each."""

from collections.abc import Callable, Mapping
from typing import Any

import ray
import torch
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from ichtune.cluster.board import LOOK_S, paced, put_up, sum_up
from ichtune.cluster.capacity import Capacity
from ichtune.errors import InputError
from ichtune.progress import Report

Training = Callable[[torch.device, int, Report], None]
"""Called with the device, the number of threads, and what to report to."""


def run_side_by_side(works: Mapping[str, Training], capacity: Capacity, report: Report) -> dict[str, str]:
    """Run all, as many at once as there are GPUs or, without any, cores; return why some failed, by name.

    A task that is lost with its node starts again on another, so a training must resume from what it has saved.
    `report` receives the sum of all, and a remark about each that is running.
    """
    at_once = max(1, min(len(works), capacity.gpus or capacity.cpus))
    threads = capacity.cores_per_gpu if capacity.gpus else capacity.cores_for_each(at_once)
    board = put_up()
    task: Any = ray.remote(_run)
    task = task.options(num_cpus=threads, num_gpus=1 if capacity.gpus else 0, max_retries=3)
    names = {task.remote(work, name, threads, board): name for name, work in works.items()}
    failures, pending = {}, list(names)
    while pending:
        done, pending = ray.wait(pending, num_returns=len(pending), timeout=LOOK_S)
        failures |= {names[one]: why for one in done if (why := _why_failed(one))}
        sum_up(ray.get(board.read.remote()), [names[one] for one in pending], len(works), report)
    return failures


def _run(work: Training, name: str, threads: int, board: Any) -> None:
    torch.set_num_threads(threads)
    work(torch.device("cuda" if torch.cuda.is_available() else "cpu"), threads, paced(name, board))


def _why_failed(task: "ray.ObjectRef[None]") -> str:
    try:
        ray.get(task)
    except OutOfMemoryError:
        return "out of memory; use a smaller --batch-size or --size"
    except RayTaskError as error:
        cause = error.cause
        if not isinstance(cause, InputError):
            raise
        return str(cause)
    except RayError as error:
        return str(error).splitlines()[0]
    return ""
