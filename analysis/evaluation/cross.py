"""Several models on several stores: what each scores on each, and how models differ on the same patients."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.evaluation.evaluate import Evaluation
from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.plan import Plan
from analysis.evaluation.predictions import Predictions
from analysis.evaluation.scores import SCORED, differences
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import About
from ichtune.inference.model_place import ModelPlace
from ichtune.labels import LABELS
from ichtune.remote import is_uri
from ichtune.runs.folder import REQUEST, RunFolder

TOGETHER: Final = "evaluation"
"""The folder of all results of several models or stores, by default."""


def plans(
    models: Sequence[str | Path | ModelPlace], stores: Sequence[str | Path], options: EvaluateOptions
) -> list[Plan]:
    """Check all models on all stores, store by store; raises as `Plan.of`.

    On a store, all models are scored on the same slices: if some were trained on it, on those that none of them saw.
    Only labels that all models were trained on are scored.

    Raises:
        InputError: see `Plan.of`; or a model or store is given twice, or no slices are left for all models.
    """
    for name, given in (("MODEL", models), ("--data", stores)):
        places = [str(each) if is_uri(each) else os.path.realpath(str(each)) for each in given]
        if twice := [str(each) for each, place in zip(given, places, strict=True) if places.count(place) > 1]:
            raise InputError(f"{name}: {twice[0]} is given twice; leave out one")
    opened = [ModelPlace.of(model) for model in models]
    if len(models) * len(stores) == 1:
        return [Plan.of(opened[0], stores[0], options)]
    found = [_on_the_same([Plan.of(model, store, options) for model in opened]) for store in stores]
    _check_names("MODEL", [plan.name for plan in found[0]])
    _check_names("--data", [of_store[0].data for of_store in found])
    out = Path(TOGETHER) if options.out is None else options.out
    every = [plan for of_store in found for plan in of_store]
    return [replace(plan, out=out / f"{plan.name}-on-{plan.data}") for plan in every]


def _check_names(what: str, names: Sequence[str]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{what}: two are called {twice[0]!r}, which a table can't tell apart; rename a folder"
        )


def _on_the_same(of_store: list[Plan]) -> list[Plan]:
    """Plans of models on one store, with the slices that are right for all of them and the labels that all know."""
    labels = tuple(label for label in LABELS if all(label in plan.labels for plan in of_store))
    fewest = min(of_store, key=lambda plan: len(plan.chosen.rows))
    common = fewest.chosen.rows
    for plan in of_store:
        common = np.intersect1d(common, plan.chosen.rows)
    if not len(common):
        raise InputError(
            f"{fewest.store.path}: the models have no slices in common that none of them was trained on; evaluate them "
            "one by one, or prepare the store with a test set"
        )
    return [_narrowed(plan, fewest, common, labels) for plan in of_store]


def _narrowed(plan: Plan, fewest: Plan, common: np.ndarray, labels: tuple[str, ...]) -> Plan:
    chosen = plan.chosen
    if len(common) < len(chosen.rows):
        why = f"for all models alike, as {fewest.name} was trained on this store"
        chosen = replace(chosen, split=fewest.chosen.split, rows=common, why=why)
    narrowed = replace(plan, chosen=chosen, labels=labels)
    narrowed.check()
    return narrowed


def cross_rows(made: Sequence[Evaluation]) -> pd.DataFrame:
    """One row per model, store and unit: `model, trained_on, store, own`, and the columns of `overall_scores`.

    `trained_on` is the fingerprint of the model's store, `own` whether that is the store it is evaluated on.
    """
    return pd.DataFrame(
        [
            {
                "model": each.plan.name,
                "trained_on": each.plan.about.fingerprint,
                "store": each.plan.data,
                "own": each.plan.own,
                **row,
            }
            for each in made
            for row in each.overall.to_dict("records")
        ]
    )


def paired_rows(made: Sequence[Evaluation]) -> pd.DataFrame:
    """Each further model minus the first, on the same slices of each store, by store, unit, metric and label.

    Columns `store, by, label, metric, first, model, before, after, difference`, and the ends of its 95 % interval by
    patient, `low` and `high`, and those that hold for all models at once, `all_low` and `all_high`.
    """
    return pd.DataFrame([row for of_store in by_store(made) for row in _differences(of_store)])


def by_store(made: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """The evaluations of each store."""
    stores = dict.fromkeys(each.plan.store.path for each in made)
    return [[each for each in made if each.plan.store.path == store] for store in stores]


def _differences(of_store: Sequence[Evaluation]) -> Iterator[dict[str, object]]:
    first, *others = of_store
    if not others:
        return
    for place, unit in enumerate(first.units):
        models = [each.units[place] for each in of_store]
        for label, metric in _figures(unit):
            alone = [each.only([label] if label else LABELS) for each in models]
            for other, figures in zip(others, differences(metric, alone), strict=True):
                yield {
                    "store": first.plan.data,
                    "by": unit.unit,
                    "label": label,
                    "metric": metric,
                    "first": first.plan.name,
                    "model": other.plan.name,
                    **figures,
                }


def _figures(unit: Predictions) -> Iterator[tuple[str, str]]:
    """Yield the labels and metrics that models are compared by: all metrics over the labels, and each label's AUC."""
    yield from (("", metric) for metric in SCORED)
    yield from ((LABELS[column], "auc") for column in unit.known)


def own_store(model: ModelPlace, about: About) -> str | Path | None:
    """The store that the model in a run's folder was trained on, if it is still where the run had it."""
    for folder in model.folder.absolute().parents:
        if (folder / REQUEST).is_file():
            try:
                store = SliceStore.open(RunFolder.open(folder).request.data)
            except InputError:
                return None
            return store.place if store.fingerprint == about.fingerprint else None
    return None
