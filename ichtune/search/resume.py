"""A search that goes on: what its run says it was asked for, with what may be asked for anew."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.search.plan import Plan, plan_again
from ichtune.space import Space

FREE = (
    *("trials", "address", "cpus_per_trial", "gpus_per_trial"),
    *("max_concurrent", "time_budget_s", "max_failures", "bank"),
)
"""Settings that may change from one start to the next; by all others the trials could not be compared."""


def resume(
    run: RunFolder,
    settings: Mapping[str, Any],
    *,
    data: Path | None = None,
    space: Space | None = None,
    changes: Mapping[str, object] | None = None,
) -> Plan:
    """The plan of a run that goes on, with these settings given anew.

    `space` (with the run's own in its place where it is None) under `changes`, and the store at `data`, must be
    those of the run; a store may have moved.

    Raises:
        InputError: no run, a store that is gone or another one, or other settings than the run's, with the
            difference.
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
        lines = (f"  {key}: {old.get(key)} in the run, {new.get(key)} asked for" for key in differ)
        raise InputError(
            f"{run.path}: its trials could not be compared with those of other settings; start a new run, or "
            "leave these out:\n" + "\n".join(lines)
        )


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What plain nested data holds, by dotted key."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value
