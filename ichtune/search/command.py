"""What `ichtune search` and `launch.py` do: plan, run, rank, and say what to do next."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ichtune.data.demo import demo_store
from ichtune.errors import InputError
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import REQUEST, RunFolder
from ichtune.runs.remote import below
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import settled_trials
from ichtune.search.resume import resume as resumed
from ichtune.search.search import Plan, plan, search
from ichtune.space import Space
from ichtune.wording import pasteable
from ichtune.yaml_text import parse_yaml_value

OK, NOTHING_USABLE, INTERRUPTED_CODE = 0, 1, 130


def parse_changes(texts: list[str]) -> dict[str, object]:
    """The changes that `--set key=value` asks for; values are read as YAML.

    Raises:
        InputError: a text without "=", or a value that is no YAML.
    """
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text}: must be KEY=VALUE, as --set training.epochs=5")
        changes[key.strip()] = parse_yaml_value(value, f"--set {key.strip()}")
    return changes


def run(data: Path | None, space: Space, settings: SearchSettings, console: Console, *, dry_run: bool) -> int:
    """Search and rank; gives the exit code."""
    return _run(plan(data or demo_store(console), space, settings), console, dry_run=dry_run)


def resume(
    runs: str | Path,
    name: str,
    settings: dict[str, Any],
    console: Console,
    *,
    data: Path | None,
    space: Space | None,
    changes: dict[str, object],
    dry_run: bool,
) -> int:
    """Go on with a run, under these settings given anew; one that is finished is only ranked. Gives the exit code."""
    folder = RunFolder.open(below(runs, name), data)
    planned = resumed(folder, settings, data=data, space=space, changes=changes)
    done = settled_trials(folder)
    if done >= planned.settings.trials:
        console.print(
            escape(f"{folder}: all {done} trials are done; to go on with more:"),
            soft_wrap=True,
            highlight=False,
        )
        if data and not dry_run:
            with folder.locked():
                folder.write(folder.request)
        _tell("", f"{_resume_command(folder)} --trials {done + 30}", console)
        return finish(folder, console, stopped=None)
    going_on = f"{folder}: {done} of {planned.settings.trials} trials are done, going on"
    console.print(escape(going_on), soft_wrap=True, highlight=False)
    return _run(planned, console, dry_run=dry_run)


def _run(planned: Plan, console: Console, *, dry_run: bool) -> int:
    print_plan(planned, console)
    if dry_run:
        return OK
    try:
        finished = search(planned, console)
    except KeyboardInterrupt:  # before the trials, which end by themselves, or at once
        return _interrupted(RunFolder.at(planned.run), planned.settings.trials, console)
    return finish(finished.run, console, stopped=finished.stopped)


def _interrupted(run: RunFolder, asked: int, console: Console) -> int:
    begun = (run.path / REQUEST).is_file()
    done = settled_trials(run) if begun else 0
    where = f"with {done} of {asked} trials done" if done else "before the first trial was done"
    console.print(f"[bold red]stopped:[/] interrupted {where}")
    if begun:
        _tell("go on with:", _resume_command(run), console)
    return INTERRUPTED_CODE


def _resume_command(run: RunFolder) -> str:
    return pasteable("ichtune", "search", "--runs", run.runs, "--resume", run.name)


def _tell(what: str, command: str, console: Console) -> None:
    """A line that says what a command is for; the command can be pasted as it stands."""
    console.print(escape(f"{what:<12} {command}".strip()), soft_wrap=True, highlight=False)


def print_plan(plan: Plan, console: Console) -> None:
    """What will be run: trials, resources, cost of the bank, and where it goes."""
    settings, space = plan.settings, plan.space
    count = space.count()
    combinations = f"{count:,} combinations" if count is not None else f"{len(space.dimensions)} dimensions"
    missing = f", {plan.missing_rows:,} still to compute" if plan.missing_rows else ", all computed"
    views = f"{sum(part.count for part in plan.parts):,} views in {len(plan.parts)} parts{missing}"
    precisions = ", ".join(dict.fromkeys(part.key.precision for part in plan.parts))
    folds = f"{settings.folds} folds" if settings.folds > 1 else "one fold"
    size = sum(part.count * part.width * 2 for part in plan.parts) / 2**20
    banks = ", ".join(dict.fromkeys(str(part.bank) for part in plan.parts))
    table = Table.grid(padding=(0, 2))
    for name, text in {
        "data": f"{plan.store.path} ({len(plan.store.train):,} slices to search on, {plan.store.fingerprint})",
        "space": f"{space.name}, {combinations}, by {space.metric}",
        "trials": f"up to {settings.trials} by {settings.sampler}, each on {folds}; "
        f"ASHA from epoch {settings.grace}, one in {settings.reduction:g} goes on",
        "resources": f"{settings.cpus_per_trial:g} CPU a trial, on "
        + (f"the Ray cluster at {settings.address}" if settings.address else "a local Ray of its own"),
        "bank": f"{views}, {size:,.0f} MiB, computed in {precisions}, in {banks}"
        if plan.parts
        else "none: every recipe trains its backbone",
        "writes": f"{plan.run}",
        "seed": str(settings.seed),
    }.items():
        table.add_row(f"[bold]{name}[/]", escape(text))
    console.print(table)


def finish(run: RunFolder, console: Console, *, stopped: str | None) -> int:
    """Rank what there is, and say where it stands and what comes next; gives the exit code."""
    from analysis.show import print_summary

    try:
        print_summary(run, console)
        if stopped:
            console.print(f"[bold red]stopped:[/] {escape(stopped)}", soft_wrap=True, highlight=False)
            _tell("go on with:", _resume_command(run), console)
        code = {None: OK, TrialEnd.INTERRUPTED: INTERRUPTED_CODE}.get(stopped, NOTHING_USABLE)
        return _rank(run, console, code)
    except KeyboardInterrupt:
        console.print("[bold red]stopped:[/] interrupted while ranking; the trials are kept")
        _tell("rank them:", pasteable("ichtune", "rank", run), console)
        return INTERRUPTED_CODE


def _rank(run: RunFolder, console: Console, code: int) -> int:
    from analysis.rank import RankedResults
    from analysis.result_tables import write_ranking
    from analysis.show import MOST_ROWS, print_ranking

    try:
        results = RankedResults.of(run)
    except InputError as error:
        console.print(f"[bold red]{escape(str(error))}[/]", soft_wrap=True)
        return code or NOTHING_USABLE
    print_ranking(results, console)
    files = write_ranking(results, MOST_ROWS)
    run.push()
    _tell("tables:", str(files[0].parent), console)
    _tell("curves:", pasteable("tensorboard", "--logdir", run.trials), console)
    _tell("study:", f"{run.journal} (a journal of Optuna's)", console)
    _tell("report:", pasteable("ichtune", "report", run), console)
    _tell("best model:", pasteable("ichtune", "retrain", run), console)
    return code
