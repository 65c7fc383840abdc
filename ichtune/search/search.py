"""A search from its data to its ranking."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from ichtune.config import LEVELS
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.precision import resolved
from ichtune.progress import progress
from ichtune.runs.folder import RunFolder
from ichtune.runs.remote import below, is_uri
from ichtune.runs.request import SearchRequest
from ichtune.runs.settings import SearchSettings
from ichtune.search.bank_tasks import compute_on
from ichtune.search.cluster import Capacity, connected
from ichtune.search.samplers import make_sampler
from ichtune.search.storage import check_storage
from ichtune.search.trial import TrialJob
from ichtune.search.tuner import run_trials
from ichtune.search.view import Board, SearchView
from ichtune.space import Space
from ichtune.training.bank import BankPart, is_finished
from ichtune.training.bank_build import build
from ichtune.training.bank_check import verify
from ichtune.training.bank_plan import plan_parts
from ichtune.training.experiment import Experiment, folds_of

LONGEST_NAME = 255


@dataclass(frozen=True)
class Plan:
    """A search as it will be run: everything is checked, and nothing has been written or computed."""

    store: SliceStore
    space: Space
    settings: SearchSettings
    parts: tuple[BankPart, ...]
    resumed: bool = False

    @property
    def run(self) -> str:
        """The place of the run's folder, a path or a URI."""
        return below(self.settings.runs, str(self.settings.name))

    @property
    def request(self) -> SearchRequest:
        """What the run will keep of it."""
        return SearchRequest.now(self.store, self.space, self.settings)

    @property
    def missing_rows(self) -> int:
        """Slices and views that the feature bank still lacks."""
        return sum(part.count for part in self.parts if not is_finished(part))


def plan(data: str | Path, space: Space, settings: SearchSettings) -> Plan:
    """Check all that a search is asked for.

    Raises:
        InputError: a store, space, metric, backbone or setting that can't be used, or a run name that is taken.
    """
    store = SliceStore.open(Path(data).absolute())
    folds_of(store, settings.folds)
    name = settings.name or f"{space.name}-{datetime.now():%Y%m%d-%H%M%S}"
    if Path(name).name != name or name in (".", ".."):
        raise InputError(f"--name: {name!r} must be a plain folder name, without a path")
    if len(name.encode()) > LONGEST_NAME:
        raise InputError(
            f"--name: must be of at most {LONGEST_NAME} bytes, as file systems have it, got {len(name.encode())}"
        )
    space = _for_this_machine(space, settings)
    settings = replace(settings, name=name, trials=_trials(space, settings), bank=_bank(settings))
    make_sampler(settings.sampler, settings.seed, space)
    RunFolder.at(below(settings.runs, name)).refuse_if_taken()
    return Plan(store, space, settings, tuple(_bank_parts(store, space, settings)))


def plan_again(store: SliceStore, space: Space, settings: SearchSettings) -> Plan:
    """The plan of a run that is there already and is to go on; `resume` makes it, and has checked it."""
    settings = replace(settings, trials=_trials(space, settings), bank=_bank(settings))
    return Plan(store, space, settings, tuple(_bank_parts(store, space, settings)), resumed=True)


def _for_this_machine(space: Space, settings: SearchSettings) -> Space:
    """The space with a precision in the place of `auto`: by this machine, or for a cluster's GPUs."""
    if all(variant.precision != "auto" for variant in space.models()):
        return space
    return space.changed({"training.precision": "bfloat16" if settings.address else resolved("auto")})


def _trials(space: Space, settings: SearchSettings) -> int:
    """The number of trials; a grid has no more than its combinations."""
    if settings.sampler != "grid":
        return settings.trials
    next(space.grid())  # which refuses a range that has no end of values
    return min(settings.trials, space.count() or settings.trials)


def _bank(settings: SearchSettings) -> str | None:
    """The folder that was asked for, wherever a later command is started."""
    if not settings.bank:
        return None
    if is_uri(settings.bank):
        raise InputError(f"--bank: {settings.bank} must be a folder, which trials can map into their memory")
    return str(Path(settings.bank).absolute())


def _bank_parts(store: SliceStore, space: Space, settings: SearchSettings) -> list[BankPart]:
    """The bank's parts for every frozen backbone that a trial may ask for."""
    variants = [variant for variant in space.models() if variant.model.train == "frozen"]
    parts = []
    for precision in dict.fromkeys(variant.precision for variant in variants):
        models = [variant.model for variant in variants if variant.precision == precision]
        levels = sorted(space.levels(), key=LEVELS.index)
        parts += plan_parts(
            store,
            models,
            levels,
            views=settings.views,
            seed=settings.seed,
            precision=precision,
            bank=settings.bank,
        )
    return parts


@dataclass(frozen=True)
class Finished:
    """A search that has ended, by itself or (`stopped`) by Ctrl-C or for a reason in words."""

    run: RunFolder
    stopped: str | None


def search(plan: Plan, console: Console) -> Finished:
    """Run a search: the bank first, then its trials. Ctrl-C during the trials ends it cleanly.

    Raises:
        InputError: no Ray cluster answers, the run's folder can't be made or isn't shared by all nodes, or another
            process is searching in it.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        capacity = offered(stack.enter_context(connected(plan.settings.address)), plan.settings)
        started = time.monotonic()
        run = RunFolder.at(plan.run)
        run.make()
        stack.enter_context(run.locked())
        if not plan.resumed:
            run.refuse_other_run()  # of another process, since this one was planned
        run.write(plan.request)
        check_storage(run, plan.store, plan.parts)
        build_bank(plan, capacity, console)
        banked = time.monotonic()
        board = Board(plan.settings.trials, plan.space.metric, plan.space.direction == "max")
        if plan.resumed:
            board.remember(run)
        view = SearchView(board, run, console)
        stack.callback(view.close)
        stopped = run_trials(_job(plan, run), plan.space, plan.settings, run, capacity, [view])
        run.write_times(
            {"start_s": started - begun, "bank_s": banked - started, "trials_s": time.monotonic() - banked}
        )
        run.push()
        if run.remote:
            run.remote.pull(run.path)  # the trials of other machines
    return Finished(run, stopped)


def offered(found: Capacity, settings: SearchSettings) -> Capacity:
    """What a search may count on: of a cluster that grows with its load, at least what is asked of it.

    Raises:
        InputError: a cluster without cores for trials, and nothing that says how far it is to grow.
    """
    if settings.address and settings.max_concurrent:
        gpus = settings.gpus_per_trial or 0.0
        return found.grown_for(settings.max_concurrent, cpus=settings.cpus_per_trial, gpus=gpus)
    if not found.cpus:
        raise InputError(
            f"--address: the cluster at {settings.address} has no cores for trials yet; --max-concurrent, with "
            "--gpus-per-trial for GPUs, says how far it is to grow"
        )
    return found


def build_bank(plan: Plan, capacity: Capacity, console: Console) -> None:
    """Verify what the feature bank has, and compute what it lacks."""
    if finished := [part for part in plan.parts if is_finished(part)]:
        with progress("verifying bank", "views", console) as report:
            verify(finished, report)
    if plan.missing_rows:
        with progress("feature bank", "views", console) as report:
            build(plan.parts, run=compute_on(capacity), progress=report)


def _job(plan: Plan, run: RunFolder) -> TrialJob:
    experiment = Experiment(plan.store.path, plan.parts, plan.settings.folds, plan.settings.seed)
    return TrialJob(experiment, plan.space, run, threads=max(1, int(plan.settings.cpus_per_trial)))
