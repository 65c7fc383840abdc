"""A search from data to ranking."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.markup import escape

from ichtune.bank.build import build
from ichtune.bank.check import verify
from ichtune.bank.part import is_finished
from ichtune.cluster.bank_tasks import compute_on
from ichtune.cluster.capacity import Capacity, trial_resources, usable_capacity
from ichtune.cluster.connection import connected
from ichtune.cluster.shared_folders import check_storage
from ichtune.cluster.waiting import parse_needs, wait_for
from ichtune.progress import progress
from ichtune.runs.driver import reporting
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import settled_trials
from ichtune.search.halt import Halt
from ichtune.search.live_panel import LivePanel, SearchProgress
from ichtune.search.plan import Plan
from ichtune.search.trial import TrialJob
from ichtune.search.tuner import run_trials
from ichtune.tracking.sending import sending
from ichtune.tracking.trackers import trackers


@dataclass(frozen=True)
class Finished:
    """A search that ended; `stopped` says why if it ended early: a signal, the time budget, or a reason in words."""

    run: RunFolder
    stopped: str | None


def search(plan: Plan, console: Console) -> Finished:
    """Run a search: build the feature bank, then run the trials. Ctrl-C during the trials ends it cleanly.

    Raises:
        InputError: no Ray cluster answers, the run's folder can't be made or isn't shared by all nodes, or another
            process is searching in it.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        run = RunFolder.at(plan.run)
        if plan.resumed:  # a rival is refused before Ray starts
            stack.enter_context(run.locked())
            run.pull()
        capacity = stack.enter_context(connected(plan.settings.address))
        if plan.settings.wait_for:
            needs = parse_needs(plan.settings.wait_for)
            capacity = wait_for(
                needs, plan.settings.timeout_s, lambda line: console.print(line, highlight=False)
            )
        capacity = usable_capacity(capacity, plan.settings)
        started = time.monotonic()
        run.make()
        if not plan.resumed:
            stack.enter_context(run.locked())
            run.refuse_other_run()  # one that another process made since this one was planned
        if plan.promotion:
            plan.promotion.write(run)
        run.write(plan.request)
        stack.enter_context(reporting(run, settled_trials(run) if plan.resumed else 0))
        check_storage(run, plan.store, plan.parts)
        if not capacity.has_room_for(*trial_resources(plan.settings, capacity).values()):
            console.print("no machine has room for a trial yet: waiting for the cluster to grow")
        build_bank(plan, capacity, console)
        banked = time.monotonic()
        state = SearchProgress(plan.settings.trials, plan.space.metric, plan.space.direction == "max")
        if plan.resumed:
            state.remember(run)
        halt = Halt(plan.settings.time_budget_s)
        panel = LivePanel(state, run, console, halt)
        stack.callback(panel.close)
        stack.enter_context(sending(run, trackers(plan.settings.log, run), partial(_note, console)))
        stopped = run_trials(_job(plan, run), plan.space, plan.settings, run, capacity, halt, [panel])
        run.write_times(
            {"start_s": started - begun, "bank_s": banked - started, "trials_s": time.monotonic() - banked}
        )
        if stopped:
            run.note(f"stopped: {stopped}")
        run.push()
        run.pull()  # trials that ran on other machines
    return Finished(run, stopped)


def build_bank(plan: Plan, capacity: Capacity, console: Console) -> None:
    """Verify the finished parts of the feature bank, and compute the missing ones."""
    if finished := [part for part in plan.parts if is_finished(part)]:
        with progress("verifying bank", "views", console) as report:
            verify(finished, report)
    if plan.missing_rows:
        with progress("feature bank", "views", console) as report:
            build(plan.parts, run=compute_on(capacity), progress=report)


def _note(console: Console, line: str) -> None:
    console.print(f"[bold yellow]note:[/] {escape(line)}", soft_wrap=True)


def _job(plan: Plan, run: RunFolder) -> TrialJob:
    threads = max(1, int(plan.settings.cpus_per_trial))
    return TrialJob(plan.experiment, plan.space, run, threads, promotes=bool(plan.settings.promote))
