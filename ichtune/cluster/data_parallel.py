"""One training on several workers at once, by Ray Train's data-parallel trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer


def run_together(
    work: Callable[[], None], *, workers: int, gpus: bool, cpus_per_worker: int, scratch: Path
) -> None:
    """Call `work` in each of several workers, which form torch's process group, and wait until all have returned.

    In a worker, `Team.of_this_process()` is the group's team. If a worker is lost, with its node for instance, all
    start again, up to three times, so `work` resumes from what it has saved. Ray's own files go to `scratch`, which
    every node must see.

    Raises:
        ray.train.v2.api.exceptions.TrainingFailedError: a worker raised, or was lost too often.
    """
    resources = {"CPU": float(cpus_per_worker)} | ({"GPU": 1.0} if gpus else {})
    trainer: Any = TorchTrainer  # Ray has two of each, and an environment variable decides
    run_config: Any = RunConfig
    trainer(
        lambda _: work(),
        train_loop_config={},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus, resources_per_worker=resources),
        run_config=run_config(
            name="together", storage_path=str(scratch), failure_config=FailureConfig(max_failures=3)
        ),
    ).fit()
