"""A run as trackers show it: the search, each of its trials and each retrained model, from what is on disk."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ichtune.inference.about import ABOUT as MODEL
from ichtune.inference.about import read_about
from ichtune.json_text import read_json
from ichtune.recipe import effective
from ichtune.recipe.flat import flat
from ichtune.runs.ends import TrialEnd
from ichtune.runs.fold_scores import FoldScores
from ichtune.runs.folder import REQUEST, RunFolder
from ichtune.runs.records import ABOUT, TrialRecord
from ichtune.runs.study import settled_trials, trial_ends

SEARCH: Final = "search"
"""The key of the search itself; all others belong to it."""
_FAILED: Final = (TrialEnd.FAILED, TrialEnd.DIVERGED)
_SETTINGS: Final = (
    "sampler",
    "seed",
    "grace",
    "reduction",
    "views",
    "engine",
    "repeats",
    "repeats_cv",
    "promote",
)


class State(StrEnum):
    """What a tracked run is doing."""

    RUNNING = "running"
    STOPPED = "stopped"
    """It will continue if the search is resumed."""
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (State.FINISHED, State.FAILED)


@dataclass(frozen=True)
class Step:
    """An epoch's metrics."""

    number: int
    time_ms: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """One run of a tracker, as it has to be there."""

    key: str
    """What it is within its search: `search`, a trial's folder or `retrain/LABEL`."""
    name: str
    kind: str
    """`search`, `trial` or `model`."""
    state: State
    version: str
    """Changes whenever there is something new to send."""
    params: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    began_ms: int = 0
    ended_ms: int = 0
    """When it did what it has last done."""
    steps: tuple[Step, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    """Its metrics as a whole."""
    files: dict[str, Path] = field(default_factory=dict)
    """Its artifacts by their names there."""

    @property
    def last_step(self) -> int:
        return self.steps[-1].number if self.steps else 0


def identity(run: RunFolder) -> str:
    """Return what distinguishes a search from all others, wherever its folder lies; empty before its study began."""
    if not run.journal.is_file():
        return ""
    with open(run.journal, "rb") as file:
        first = file.readline()  # it has a random number of Optuna's
    return hashlib.sha256(first).hexdigest()[:16] if first.endswith(b"\n") else ""


def tracked_runs(run: RunFolder, sent: Mapping[str, str]) -> Iterator[TrackedRun]:
    """Yield the search, then its trials and models, without what is final and was `sent` (versions by key)."""
    yield _search(run)
    searching, ends = run.is_searching, trial_ends(run)
    for folder in run.trial_folders():
        end = ends.get(folder.number, TrialEnd.RUNNING)
        record = None if folder.path.name in sent else TrialRecord.read(folder.path)
        if record is not None:
            yield _trial(run, record, end, searching=searching)
    for file in sorted(run.path.glob(f"retrain/[!.]*/{MODEL}")):
        yield _model(file.parent)


def _search(run: RunFolder) -> TrackedRun:
    request, settled, searching = run.request, settled_trials(run), run.is_searching
    done = settled >= request.settings.trials
    state = State.RUNNING if searching else State.FINISHED if done else State.STOPPED
    files = {} if searching else _files(run)
    settings = request.settings.as_dict()
    params = {
        "data": request.fingerprint,
        "space": request.space.name,
        "metric": request.space.metric,
        "folds": request.folds,
        **{name: settings[name] for name in _SETTINGS},
    }
    if settings["promote"]:  # without its path
        params["promote"] = settings["promote"].rstrip("/").rpartition("/")[2]
    return TrackedRun(
        SEARCH,
        run.name,
        SEARCH,
        state,
        _version(f"{state} {settled}", files),
        params,
        began_ms=_time_ms(run.path / REQUEST),
        ended_ms=_time_ms(run.journal),
        scores={"trials": settled} if searching else {"trials": settled, **_best(run)},
        files=files,
    )


def _best(run: RunFolder) -> dict[str, float]:
    """The best trial's score, if any trial has one."""
    request = run.request
    scores = [_scores(run, record)["score"] for record in run.trial_records()]
    known = [score for score in scores if score == score]
    best = max if request.space.direction == "max" else min
    return {"best_score": best(known)} if known else {}


def _files(run: RunFolder) -> dict[str, Path]:
    """The tables and pictures of the ranking, and the report."""
    found = [file for file in sorted(run.results.rglob("[!.]*")) if file.is_file()]
    report = run.path / "report.html"
    return {file.relative_to(run.path).as_posix(): file for file in [*found, *([report] * report.is_file())]}


def _scores(run: RunFolder, record: TrialRecord) -> dict[str, float]:
    """A trial's metrics as the ranking has them; `score` is that of the search's metric."""
    metric, rounds = run.request.space.metric, run.request.validation.rounds
    scores = FoldScores.of(record.epochs, metric, rounds)
    final = {f"final/{name}": value for name, value in scores.mean.items()}
    return {"score": scores.mean[metric], "score_sd": scores.std[metric], **final}


def _trial(run: RunFolder, record: TrialRecord, end: TrialEnd, *, searching: bool) -> TrackedRun:
    if end in (TrialEnd.RUNNING, TrialEnd.INTERRUPTED):
        state = State.RUNNING if searching else State.STOPPED
    else:
        state = State.FAILED if end in _FAILED else State.FINISHED
    began = time_ms = _time_ms(record.folder / ABOUT)
    steps = []
    for epoch in record.epochs:
        time_ms += round(1000 * epoch.seconds)
        steps.append(Step(epoch.epoch, time_ms, epoch.scalars()))
    return TrackedRun(
        record.folder.name,
        record.folder.name,
        "trial",
        state,
        f"{state} {len(steps)}",
        flat(effective(record.recipe)),
        {"ended": end, "recipe": record.recipe_hash} | ({"point": record.point} if record.point else {}),
        began,
        time_ms,
        tuple(steps),
        _scores(run, record) if state.is_final else {},
    )


def _model(folder: Path) -> TrackedRun:
    """A retrained model: its training, its card and its tables, without the weights."""
    about, metrics = read_about(folder), read_json(folder / "metrics.json")
    history = list(metrics["history"].values())[-1]
    ended = _time_ms(folder / "metrics.json")
    steps, time_ms = [], ended - round(1000 * sum(epoch["seconds"] for epoch in history))
    began = time_ms
    for epoch in history:
        time_ms += round(1000 * epoch["seconds"])
        steps.append(Step(epoch["epoch"], time_ms, _curves(epoch)))
    files = {file.name: file for file in sorted(folder.glob("*")) if file.suffix in (".md", ".json", ".yaml")}
    return TrackedRun(
        f"retrain/{folder.name}",
        folder.name,
        "model",
        State.FINISHED,
        _version("", files),
        flat(effective(about.recipe)),
        {"trial": about.origin.trial},
        began,
        ended,
        tuple(steps),
        files=files,
    )


def _curves(epoch: Mapping[str, Any]) -> dict[str, float]:
    values = {f"valid/{name}": value for name, value in epoch["validation"].items()}
    values |= {f"train/{name}": epoch[key] for name, key in (("loss", "train_loss"), ("lr", "mean_lr"))}
    return {name: value for name, value in values.items() if value is not None}


def _version(state: str, files: Mapping[str, Path]) -> str:
    """A short text that changes with the state, and with any of the files."""
    found = [(name, file.stat().st_size, file.stat().st_mtime_ns) for name, file in files.items()]
    return hashlib.sha256(repr((state, found)).encode()).hexdigest()[:16]


def _time_ms(file: Path) -> int:
    return round(1000 * file.stat().st_mtime)
