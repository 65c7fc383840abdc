"""Resuming a search: the request stored in its run, with the settings that may be changed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ichtune.bank.engines.kinds import AUTO
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.search.plan import Plan, plan_again
from ichtune.space import Space

FREE = (
    *("trials", "address", "cpus_per_trial", "gpus_per_trial"),
    *("max_concurrent", "time_budget_s", "max_failures", "bank", "wait_for", "timeout_s", "log"),
)
"""Settings that may change when resuming; changing any other would make the trials incomparable."""


def resume(
    run: RunFolder,
    settings: Mapping[str, Any],
    *,
    data: str | Path | None = None,
    space: Space | None = None,
    changes: Mapping[str, object] | None = None,
) -> Plan:
    """The plan for resuming a run with these settings changed.

    The store at `data` and `space` (default: the run's own) after `changes` must match the run's; the store may have
    moved.

    Raises:
        InputError: there is no run, its store is gone or another one, or a setting differs from the run's; the
            message lists the differences.
    """
    request = run.request
    store = request.open_store(data)
    searched = request.space
    wanted = (space or searched).changed(changes or {})
    if space is not None and all(variant.precision == "auto" for variant in wanted.models()):
        [*known] = {variant.precision for variant in searched.models()}
        wanted = wanted.changed({"training.precision": known[0]}) if len(known) == 1 else wanted
    before = {
        key: value for key, value in request.settings.as_dict().items() if key not in (*FREE, "name", "runs")
    }
    now = {key: value for key, value in settings.items() if key not in FREE}
    if now.get("engine") == AUTO:
        del now["engine"]
    _refuse_changes(run, {**before, "space": searched.as_dict()}, {**now, "space": wanted.as_dict()})
    free = {key: value for key, value in settings.items() if key in FREE}
    return plan_again(store, searched, replace(request.settings, **free, name=run.name, runs=run.runs))


def _refuse_changes(run: RunFolder, before: dict[str, Any], now: dict[str, Any]) -> None:
    old, new = dict(_leaves("", before)), dict(_leaves("", now))
    given = {key for key in new if key.startswith("space.")} | {
        key for key in old if key.startswith("space.")
    }
    differ = sorted(key for key in given | set(new) if old.get(key) != new.get(key))
    if differ:
        lines = (f"  {key}: {old.get(key)} in the run, {new.get(key)} requested" for key in differ)
        raise InputError(
            f"{run.path}: its trials would not be comparable under other settings; start a new run, or "
            "leave these out:\n" + "\n".join(lines)
        )


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of plain nested data with their dotted keys."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value
