"""Runs the trainings of retrainings: one in this process, several side by side on Ray."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from analysis.retraining.member import Member
from analysis.retraining.plan import RetrainPlan
from ichtune.errors import InputError
from ichtune.progress import Report


class Job(NamedTuple):
    """A training, and the working folder from which it resumes."""

    member: Member
    work: Path

    @property
    def name(self) -> str:
        model = self.work.name.removeprefix(".").removesuffix(".partial")
        return f"{model} {self.member.name}"


def run_jobs(jobs: Sequence[Job], plan: RetrainPlan, report: Report) -> None:
    """Train all to their end; one that fails doesn't stop the others. `plan` says for which run, and where.

    Raises:
        InputError: trainings failed, e.g. diverged at once, with a line for each; or no cluster answers at the address.
    """
    left = [job for job in jobs if not job.member.begun(job.work).ended]
    if not left:
        return
    workers = plan.options.workers
    if len(jobs) == workers == 1 and plan.options.address is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        left[0].member.train(left[0].work, device, torch.get_num_threads(), report)
        return
    from ichtune.cluster.connection import connected  # a single training starts faster without Ray
    from ichtune.cluster.data_parallel import run_together
    from ichtune.cluster.shared_folders import check_storage
    from ichtune.cluster.side_by_side import run_side_by_side

    with connected(plan.options.address) as capacity:
        if plan.options.address is not None:
            check_storage(plan.run, plan.store)
        works = {job.name: partial(job.member.train, job.work) for job in left}
        if workers == 1:
            failures = run_side_by_side(works, capacity, report)
        else:
            failures = run_together(works, workers, capacity, plan.run.path, report)
    if failures:
        lines = [f"{name}: {why}" for name, why in failures.items()]
        raise InputError(
            "\n".join([*lines, "the other trainings are kept, and the same command resumes them"])
        )
