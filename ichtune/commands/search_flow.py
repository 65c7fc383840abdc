"""What `ichtune search` and `launch.py` do: plan, run, rank, and suggest what to do next."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ichtune.bank.networks import lines
from ichtune.cluster.capacity import Capacity, usable_capacity
from ichtune.cluster.connection import connected
from ichtune.cluster.waiting import parse_needs
from ichtune.commands.terminal import INTERRUPTED, NOTHING_USABLE, OK
from ichtune.commands.tracking import send_to
from ichtune.data.phantom.demo import demo_store
from ichtune.errors import InputError
from ichtune.remote import below
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import REQUEST, RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import settled_trials
from ichtune.search.halt import BUDGET, interruptible
from ichtune.search.plan import Plan, plan
from ichtune.search.resume import resume as resumed
from ichtune.search.search import search
from ichtune.space import Space
from ichtune.tracking.trackers import trackers
from ichtune.wording import pasteable, plural

if TYPE_CHECKING:
    from analysis.results import RankedResults


def run(
    data: str | Path | None, space: Space, settings: SearchSettings, console: Console, *, dry_run: bool
) -> int:
    """Search and rank; returns the exit code."""
    _refuse_idle_options(settings)
    return _run(plan(data or demo_store(console), space, settings), console, dry_run=dry_run)


def promote(
    data: str | Path | None,
    space: Space | None,
    settings: SearchSettings,
    changes: dict[str, object],
    chosen: set[str],
    console: Console,
    *,
    dry_run: bool,
) -> int:
    """Fine-tune recipes of an earlier run and rank them; `chosen` names the options that the user gave.

    Returns the exit code.
    """
    from analysis.promotion.choose import promote as promoting

    made = promoting(settings, changes, given=chosen, data=data, space=space)
    return _run(plan(made.data, made.space, made.settings, made.promotion), console, dry_run=dry_run)


def _refuse_idle_options(settings: SearchSettings) -> None:
    for name in ("top", "spread"):
        if getattr(settings, name) is not None:
            raise InputError(f"--{name}: chooses among the recipes of a finished search; add --promote RUN")


def resume(
    runs: str | Path,
    name: str,
    settings: dict[str, Any],
    console: Console,
    *,
    data: str | Path | None,
    space: Space | None,
    changes: dict[str, object],
    dry_run: bool,
) -> int:
    """Resume a run with these settings changed; a finished one is only ranked. Returns the exit code."""
    folder = RunFolder.open(below(runs, name), data)
    planned = resumed(folder, settings, data=data, space=space, changes=changes)
    done = settled_trials(folder)
    if done >= planned.settings.trials:
        console.print(
            escape(f"{folder}: all {done} trials are done; to run more:"),
            soft_wrap=True,
            highlight=False,
        )
        if data and not dry_run:
            with folder.locked():
                folder.write(folder.request)
        _hint("", f"{_resume_command(folder)} --trials {done + 30}", console)
        return finish(folder, console, stopped=None)
    going_on = f"{folder}: {done} of {planned.settings.trials} trials are done, resuming"
    console.print(escape(going_on), soft_wrap=True, highlight=False)
    return _run(planned, console, dry_run=dry_run)


def _run(planned: Plan, console: Console, *, dry_run: bool) -> int:
    with interruptible():
        RunFolder.at(planned.run).refuse_unwritable()
        found = refuse_without_room(planned)
        print_plan(planned, console)
        if found:
            console.print(f"the cluster has {found}", highlight=False)
        if dry_run:
            return OK
        try:
            finished = search(planned, console)
        except KeyboardInterrupt:  # before the trials (which handle it themselves), or for the second time
            return _interrupted(RunFolder.at(planned.run), planned.settings.trials, console)
        return finish(finished.run, console, stopped=finished.stopped)


def refuse_without_room(planned: Plan) -> Capacity | None:
    """Return what the cluster to join has now; None without one.

    Raises:
        InputError: no cluster answers, or no machine has room for a trial, which would wait forever. A search that
            waits for machines looks again when they are there.
    """
    settings = planned.settings
    if not settings.address:
        if settings.wait_for:
            raise InputError("--wait-for: waits for the machines of a cluster; add --address")
        usable_capacity(Capacity.here(), settings)
        return None
    needs = parse_needs(settings.wait_for) if settings.wait_for else None
    with connected(settings.address) as found:
        if not needs:
            usable_capacity(found, settings)
        return found


def _interrupted(run: RunFolder, wanted: int, console: Console) -> int:
    begun = (run.path / REQUEST).is_file()
    done = settled_trials(run) if begun else 0
    where = f"with {done} of {wanted} trials done" if done else "before the first trial was done"
    console.print(f"[bold red]stopped:[/] interrupted {where}")
    if begun:
        _hint("resume with:", _resume_command(run), console)
    return INTERRUPTED


def _resume_command(run: RunFolder) -> str:
    return pasteable("ichtune", "search", "--runs", run.runs, "--resume", run.name)


def _hint(what: str, command: str, console: Console) -> None:
    """Print a line with a command and its purpose; the command can be pasted as is."""
    console.print(escape(f"{what:<12} {command}".strip()), soft_wrap=True, highlight=False)


def print_plan(plan: Plan, console: Console) -> None:
    """Print what will run: trials, resources, the cost of the bank, and where results go."""
    settings, space = plan.settings, plan.space
    count = space.count()
    dimensions = plural(len(space.dimensions), "dimension", "dimensions")
    combinations = dimensions if count is None else plural(count, "combination", "combinations")
    precisions = ", ".join(dict.fromkeys(part.key.precision for part in plan.parts))
    validation = plan.validation
    folds = "one fold" if validation.trainings == 1 else f"{validation} folds"
    trainings = plural(settings.trials * validation.trainings, "training", "trainings")
    bank = lines(plan.parts, plan.bank_seconds)
    table = Table.grid(padding=(0, 2))
    for name, text in {
        "data": f"{plan.store.place} ({len(plan.store.train):,} training slices, {plan.store.fingerprint})",
        **({"scans": plan.scans} if plan.scans else {}),
        "space": f"{space.name}, {combinations}, by {space.metric}",
        "trials": f"{_proposals(plan, count)}, each on {folds}: up to {trainings}; "
        f"ASHA from epoch {settings.grace}, keeping the top 1/{settings.reduction:g}",
        "resources": f"{settings.cpus_per_trial:g} CPU per trial, on "
        + (f"the Ray cluster at {settings.address}" if settings.address else "its own local Ray"),
        "bank": "\n".join(bank) or "none: every recipe trains its backbone",
        "engine": f"{settings.engine} in {precisions} ({plan.why_engine})" if plan.parts else "",
        "inputs": plan.inputs,
        "log": "\n".join(map(str, trackers(settings.log, RunFolder.at(plan.run)))),
        "writes": f"{plan.run}",
        "seed": str(settings.seed),
    }.items():
        if text:
            table.add_row(f"[bold]{name}[/]", escape(text))
    console.print(table)


def _proposals(plan: Plan, combinations: int | None) -> str:
    """How many recipes are proposed and by what; a grid that is cut short names what tries all of it."""
    settings = plan.settings
    if settings.sampler != "grid" or combinations is None:
        return f"up to {settings.trials} by {settings.sampler}"
    if settings.trials < combinations:
        return (
            f"the first {settings.trials:,} of the grid's {combinations:,} combinations, in order (--trials "
            f"{combinations} tries all)"
        )
    return f"all {combinations:,} combinations of the grid, in order"


def finish(run: RunFolder, console: Console, *, stopped: str | None) -> int:
    """Rank the trials so far and print where everything is and what to do next; returns the exit code."""
    from analysis.screen import print_summary

    try:
        print_summary(run, console)
        if stopped:
            reason = escape(_in_words(stopped, run))
            console.print(f"[bold red]stopped:[/] {reason}", soft_wrap=True, highlight=False)
            _hint("resume with:", _resume_command(run), console)
        code = {None: OK, BUDGET: OK, TrialEnd.INTERRUPTED: INTERRUPTED}.get(stopped, NOTHING_USABLE)
        return _rank(run, console, code)
    except KeyboardInterrupt:
        console.print("[bold red]stopped:[/] interrupted while ranking; the trials are kept")
        _hint("rank them:", pasteable("ichtune", "rank", run), console)
        return INTERRUPTED


def _in_words(stopped: str, run: RunFolder) -> str:
    if stopped != BUDGET:
        return stopped
    settings = run.request.settings
    return (
        f"the time budget of {settings.time_budget_s:g} s ended the search, with {settled_trials(run)} of "
        f"{settings.trials} trials done"
    )


def _rank(run: RunFolder, console: Console, code: int) -> int:
    from analysis.results import RankedResults
    from analysis.screen import MOST_ROWS, announce_ranking, no_score, print_promoted, print_ranking

    try:
        results = RankedResults.of(run)
    except InputError as error:
        console.print(f"[bold red]{escape(str(error))}[/]", soft_wrap=True)
        return code or NOTHING_USABLE
    announce_ranking(results.ranking, console)
    print_ranking(results.ranking, results.ranked_table, console)
    print_promoted(results.promoted.tables, console, known=results.ranked_table.notes)
    files = results.write(MOST_ROWS)
    run.push()
    if not results.ranking.usable:
        console.print(no_score(results.ranking), style="bold red", soft_wrap=True, highlight=False)
    _hint("tables:", str(files[0].parent), console)
    _hint("curves:", pasteable("tensorboard", "--logdir", run.trials), console)
    _hint("study:", f"{run.journal} (an Optuna journal)", console)
    _hint("report:", pasteable("ichtune", "report", run), console)
    if run.request.settings.log:
        _log(results, complete=code == OK and bool(results.ranking.usable))
    if not results.ranking.usable:
        return code or NOTHING_USABLE
    _hint("best model:", pasteable("ichtune", "retrain", run), console)
    return code


def _log(results: "RankedResults", *, complete: bool) -> None:
    """Send the ranking's tables to the run's trackers; of a search that is `complete`, its report too."""
    from analysis.findings import Findings
    from analysis.report.build import write_report

    if complete:
        findings = Findings(results)
        write_report(findings, findings.write())
        results.run.push()
    send_to(trackers(results.run.request.settings.log, results.run), results.run)
