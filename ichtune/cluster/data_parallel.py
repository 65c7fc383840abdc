"""Trainings of several workers each, by Ray Train's data-parallel trainer."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from ichtune.cluster.board import LOOK_S, paced, put_up, sum_up
from ichtune.cluster.capacity import Capacity, refuse_too_many
from ichtune.errors import InputError
from ichtune.progress import Report
from ichtune.training.team import Team

TeamTraining = Callable[[torch.device, int, Report, Team], None]
"""Called in every worker with its device, the number of threads, what to report to, and its team."""


def run_together(
    works: Mapping[str, TeamTraining], workers: int, capacity: Capacity, scratch: Path, report: Report
) -> dict[str, str]:
    """Run trainings one after the other, each by so many workers together; return why some failed, by name.

    If a worker is lost, with its node for instance, all start again, up to three times, so a training must resume from
    what it has saved. Ray's own files go below `scratch`, which every node must see, and are removed. `report` receives
    what the first worker has done.

    Raises:
        InputError: there are not as many GPUs or, without any, cores.
    """
    refuse_too_many(workers, capacity)
    threads = capacity.cores_per_gpu if capacity.gpus else capacity.cores_for_each(workers)
    board = put_up()
    failures = {}
    with tempfile.TemporaryDirectory(prefix=".ray-train-", dir=scratch) as folder:
        for name, work in works.items():
            trainer = _trainer(
                partial(_run, work, name, threads, board), workers, capacity, threads, Path(folder)
            )
            if why := _failure(trainer, name, len(works), board, report):
                failures[name] = why
    return failures


def _trainer(
    run: Callable[[], None], workers: int, capacity: Capacity, threads: int, folder: Path
) -> TorchTrainer:
    gpus = capacity.gpus > 0
    resources = {"CPU": float(threads)} | ({"GPU": 1.0} if gpus else {})
    # Ray has two of each of these, and an environment variable decides.
    trainer: Any = TorchTrainer
    run_config: Any = RunConfig
    failure = FailureConfig(max_failures=3)
    return trainer(
        lambda _: run(),
        train_loop_config={},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus, resources_per_worker=resources),
        run_config=run_config(name="together", storage_path=str(folder), failure_config=failure),
    )


def _run(work: TeamTraining, name: str, threads: int, board: Any) -> None:
    torch.set_num_threads(threads)
    team = Team.of_this_process()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = paced(name, board) if team.leads else (lambda *_: None)
    work(device, threads, report, team)


def _failure(trainer: TorchTrainer, name: str, count: int, board: Any, report: Report) -> str:
    """Run a trainer to its end, reporting meanwhile; return why it failed."""
    ended = Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            sum_up(ray.get(board.read.remote()), [name], count, report)

    watching = Thread(target=watch, daemon=True)
    watching.start()
    try:
        trainer.fit()
    except TrainingFailedError as error:
        reasons = list(getattr(error, "worker_failures", {}).values())
        if not all(isinstance(reason, InputError) for reason in reasons) or not reasons:
            raise
        return str(reasons[0])
    finally:
        ended.set()
        watching.join()
    return ""
