"""Commands that look at a search from elsewhere: status, logs and fetch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichtune.commands.terminal import console, end_interrupted, say
from ichtune.errors import InputError
from ichtune.wording import did_you_mean, duration, pasteable

if TYPE_CHECKING:
    from ichtune.runs.folder import RunFolder
    from ichtune.runs.status import Status

Run = Annotated[str, typer.Argument(help="Folder of a run, e.g. runs/NAME, or its URI.")]


def status(run: Run) -> None:
    """Show how a search is getting on, also one that runs elsewhere: its driver, its trials, the best so far."""
    from ichtune.runs.status import Status, looked_at

    with looked_at(run) as there:
        found = Status.of(there)
        say(f"run:      {there}")
        say(f"driver:   {_driver(found)}")
        say(f"trials:   {_trials(found)}")
        if found.best:
            score, name = found.best
            say(f"best:     {there.request.space.metric} {score:.4f} by {name}")
        for name, epochs in found.running.items() if found.is_driven else ():
            say(f"running:  {name}, {epochs} epochs done")
        if not found.is_driven and found.done < found.wanted:
            resume = pasteable("ichtune", "search", "--runs", there.runs, "--resume", there.name)
            say(f"resume:   {resume}")


def _driver(found: "Status") -> str:
    driver = found.driver
    if driver is None:
        return "unknown; the run is from before drivers left signs"
    who = f"process {driver.pid} on {driver.host}"
    if driver.ended is not None:
        return f"ended ({driver.ended}), at {driver.seen}; {who}"
    seen = f"last sign {duration(max(driver.seconds_ago(), 0))} ago"
    if found.is_driven:
        return f"searching since {driver.began}, {seen}; {who}"
    return f"gone: it was killed, or its machine was lost; {seen}; {who}"


def _trials(found: "Status") -> str:
    from ichtune.runs.ends import TrialEnd

    stopped = found.ends[TrialEnd.ASHA]
    failed = found.ends[TrialEnd.FAILED] + found.ends[TrialEnd.DIVERGED]
    text = (
        f"{found.done} of {found.wanted} done, {stopped} of them stopped early, {failed} failed or diverged"
    )
    left = found.seconds_left
    return f"{text}; about {duration(left)} left" if left == left else text


def logs(
    run: Run,
    trial: Annotated[
        str | None, typer.Argument(help="A trial's number or folder: the errors of its attempts.")
    ] = None,
) -> None:
    """Print what a search's driver logged, or the errors of one trial."""
    from ichtune.runs.driver import LOG
    from ichtune.runs.status import looked_at

    with looked_at(run) as there:
        if trial is not None:
            say(_errors(there, trial))
            return
        file = there.path / LOG
        if not file.is_file():
            raise InputError(f"{there}: has no log; the run is from before drivers kept one")
        say(file.read_text(encoding="utf-8", errors="replace").rstrip())
        failed = [
            folder.path.name for folder in there.trial_folders() if (folder.path / "errors.txt").is_file()
        ]
    if failed:
        say(f"\nerrors of {', '.join(failed)}: ichtune logs {run} TRIAL")


def _errors(run: "RunFolder", wanted: str) -> str:
    from ichtune.runs.trial_folder import ERRORS

    folders = {folder.path.name: folder for folder in run.trial_folders()}
    found = [
        folder
        for name, folder in folders.items()
        if wanted in (name, str(folder.number), name.partition("-")[0])
    ]
    if not found:
        raise InputError(f"{wanted!r} is no trial of {run}{did_you_mean(wanted, folders)}")
    file = found[0].path / ERRORS
    if not file.is_file():
        return f"{found[0].path.name} has had no error"
    return file.read_text(encoding="utf-8", errors="replace").rstrip()


def fetch(
    run: Annotated[str, typer.Argument(metavar="URI", help="URI of a run, e.g. s3://BUCKET/runs/NAME.")],
    to: Annotated[Path | None, typer.Argument(help="Folder for it (default: runs/NAME).")] = None,
) -> None:
    """Copy a run from its URI to this machine, or what has changed there since the last time."""
    from ichtune.progress import progress
    from ichtune.runs.folder import REQUEST, RunFolder

    there = RunFolder.at(run)
    if there.remote is None:
        raise InputError(f"{run}: is a folder, not a URI; its run can be used where it is")
    if not there.remote.has(REQUEST):
        raise InputError(f"{run}: no search run here (no {REQUEST})")
    folder = (to or Path("runs") / there.remote.name).absolute()
    _refuse_other(folder, there)
    try:
        with progress("fetching", "bytes", console) as report:
            there.remote.pull(folder, lambda name: name == REQUEST)  # with it an interrupted copy is a run's
            count = there.remote.pull_changed(folder, lambda done, total: report(done, total, ""))
    except KeyboardInterrupt:
        end_interrupted()
    say(f"run: {folder}  ({count} files were new or changed)")
    say(f"its store, if it is elsewhere on this machine: {pasteable('ichtune', 'rank', folder)} --data STORE")


def _refuse_other(folder: Path, there: "RunFolder") -> None:
    """Refuse a folder that holds something else than an earlier copy of the run."""
    from ichtune.runs.folder import REQUEST, RunFolder
    from ichtune.runs.status import looked_at

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    mend = "choose another folder"
    if not (folder / REQUEST).is_file():
        raise InputError(f"{folder}: is not empty, and no search run; {mend}")
    here = RunFolder.open(folder)
    if here.is_searching:
        raise InputError(f"{folder}: a search is running in it; {mend}")
    with looked_at(str(there)) as copy:
        same = ("fingerprint", "folds", "space")
        if any(getattr(here.request, name) != getattr(copy.request, name) for name in same):
            raise InputError(f"{folder}: holds another run; {mend}")
