"""How to reproduce a run: the commands with their settings, and the versions used."""

import json
import platform
import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from analysis.ranking.seed_noise import reruns
from analysis.report.retrained import RetrainedModel
from analysis.retraining.options import RetrainOptions
from ichtune.data.options import BY_SOURCE, PrepareOptions
from ichtune.data.store import StoreInfo
from ichtune.errors import InputError
from ichtune.inference.about import About
from ichtune.options import options_of
from ichtune.recipe import Recipe
from ichtune.recipe.flat import flat
from ichtune.remote import absolute
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import TrialRecord
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space
from ichtune.wording import plain
from ichtune.yaml_text import write_yaml


def prepare_command(info: StoreInfo, store: str) -> str:
    """The command that makes this store from its source."""
    all_test = info.folds == 0
    values = {
        **info.reading,
        "format": None if info.sources else info.format,
        "size": info.size,
        "window": "/".join(f"{edge:g}" for edge in info.window) if info.window else None,
        "seed": info.seed,
        "test_fraction": None if all_test or info.keeps_given_split else round(info.test_fraction, 6),
        "folds": None if all_test else BY_SOURCE if info.folds_by_source else info.folds,
    }
    switches = {
        "--keep-split": info.keeps_given_split,
        "--all-test": all_test,
        "--hash-ids": info.hashed_ids,
    }
    sources = [f"SOURCE{number}" for number in range(1, len(info.sources) + 1)] or ["SOURCE"]
    switches_on = [flag for flag, on in switches.items() if on]
    return _command("ichtune", "prepare", *sources, store, *_flags(PrepareOptions, values), *switches_on)


def search_command(run: RunFolder, store: str, space: str) -> str:
    """The command that repeats the search; `space` is a preset or a file, which has a promoted run's recipes."""
    chosen = {"runs": None, "name": run.name, "top": None, "spread": None, "log": None}
    settings = {**run.request.settings.as_dict(), **chosen}
    flags = _flags(SearchSettings, settings, always=("trials", "seed"))
    return _command("ichtune", "search", "--data", store, "--space", space, *flags)


def preset_of(space: Space) -> str | None:
    """The name of the preset that the space equals; None if it is changed or the user's own."""
    try:
        return space.name if Space.load(space.name) == space else None
    except InputError:
        return None


def retrain_command(run: RunFolder, model: RetrainedModel) -> str:
    """The command that repeats a retraining, from what differs between the model's recipe and the trial's."""
    origin = model.about.origin
    record = TrialRecord.read(run.trial(origin.trial).path)
    assert record, "a retrained trial has finished an epoch"
    before, after = record.recipe, model.about.recipe
    values: dict[str, Any] = {
        "rank": origin.rank,
        "train": after.model.train,
        "head": origin.head,
        **_trained_on(model.about),
        "label": model.label,
    }
    values |= _tuning(model.about)
    seeds = model.metrics.get("soup", 0)
    if seeds:
        values |= {"seeds": seeds, "label": model.label.removesuffix("-soup")}
    kept_rate = after.phases or after.model.train == "frozen"
    changed = _changed(before, after) | ({} if kept_rate else {"optimizer.lr": after.optimizer.lr})
    if model.metrics["metric"] != run.request.space.metric:
        changed["metric"] = model.metrics["metric"]
    names = {option.recipe_key: option.name for option in options_of(RetrainOptions) if option.recipe_key}
    values |= {names[key]: value for key, value in changed.items() if key in names}
    sets = [f"--set={key}={_yaml(value)}" for key, value in changed.items() if key not in names]
    flags = _flags(RetrainOptions, values, always=values)
    soup = ["--soup"] if seeds else []
    return _command("ichtune", "retrain", f"runs/{run.name}", *flags, *soup, *sets)


def _tuning(about: About) -> dict[str, Any]:
    """The options of calibration and thresholds."""
    calibration = about.calibration.method
    if about.thresholds_by == "sensitivity":
        return {"calibration": calibration, "sensitivity": about.sensitivity}
    return {"calibration": calibration, "thresholds": about.thresholds_by}


def _trained_on(about: About) -> dict[str, Any]:
    """The options that say which folds and seeds a model was trained with."""
    folds = {name.partition("-")[0] for name in about.members}
    if not about.members:
        return {"fold": about.origin.fold}
    several = (
        {"folds": len(folds)} if len(folds) > 1 else {"fold": int(next(iter(folds)).removeprefix("fold"))}
    )
    return several | {"seeds": len(about.members) // len(folds)}


def rank_command(run: RunFolder, *, test: bool) -> str:
    """The command that writes the tables, with the other seeds and the test set if they were used."""
    again = Counter(record["trial"] for record in reruns(run))
    seeds = ["--top", str(len(again)), "--seeds", str(max(again.values()))] if again else []
    return _command("ichtune", "rank", f"runs/{run.name}", *seeds, *(["--test"] if test else []))


def retrain_best_command(run: RunFolder) -> str:
    return _command("ichtune", "retrain", f"runs/{run.name}")


def report_command(run: RunFolder) -> str:
    return _command("ichtune", "report", f"runs/{run.name}")


def _changed(before: Recipe, after: Recipe) -> dict[str, Any]:
    """Changed settings by key; a section that became another kind, e.g. another loss, is set as a whole."""
    old, new = flat(before), flat(after)
    keys = [key for key in new if key != "model.train" and old.get(key) != new[key]]
    sections = {key.partition(".")[0] for key in keys if key.endswith(".name")}
    parts = {key: new[key] for key in keys if key.partition(".")[0] not in sections}
    return parts | {name: after.model_dump(mode="json")[name] for name in sorted(sections)}


def versions_of(run: RunFolder) -> dict[str, dict[str, str]]:
    """The versions that the search and the report used, by name."""
    searched = run.request.versions
    here = {name: version(name) for name in searched}
    return {
        "searched with": searched,
        "reported with": {
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            **here,
        },
    }


def search_yaml(run: RunFolder) -> str:
    """The stored request, with only the name of the store's folder."""
    return write_yaml(run.request.as_dict() | {"data": Path(absolute(run.request.data)).name}).strip()


def _flags(settings: type, values: Mapping[str, Any], always: Collection[str] = ()) -> list[str]:
    """The flags of all values that differ from the defaults, and of those that are `always` given."""
    return [
        part
        for option in options_of(settings)
        if (value := values.get(option.name)) is not None
        and (option.name in always or value != option.default)
        for part in (option.flag, plain(value))
    ]


def _yaml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else plain(value)


def _command(*words: str) -> str:
    return shlex.join(words)
