"""What a search does not show, in plain sentences derived from its numbers."""

import math
from collections import Counter
from typing import Final

import pandas as pd

from analysis.ranking.certainty import DIFFERENCE
from analysis.report.retrained import RetrainedModel
from analysis.results import RankedResults
from analysis.tables.rounding import interval, rough
from ichtune.labels import LABELS
from ichtune.runs.ends import TrialEnd
from ichtune.wording import plural

FEW_PATIENTS: Final = 10
"""Labels with fewer positive patients have unreliable scores, whatever their intervals."""


def limits(results: RankedResults, models: list[RetrainedModel], *, compared: bool) -> list[str]:
    """Return what must not be read into the numbers of a ranking and the models retrained from it.

    `compared` says whether trials could be compared by their predictions.
    """
    sentences = [
        "For research only. Nothing here is a medical device, and no number here may guide the care of a patient.",
        _ties_left(results) if compared else "",
        _about_intervals(results),
        f"All scores are from one collection of {results.truth.count:,} patients. Other scanners, hospitals "
        "and patients, or another prevalence of hemorrhages, may give other scores and another order.",
        _test_set(results, models),
        _rare(results),
        _undefined(results),
        _unnamed(results),
        _losses(results),
        _lost(results),
    ]
    return [sentence for sentence in sentences if sentence]


def _ties_left(results: RankedResults) -> str:
    if results.certainty.tied:
        return (
            "It does not show that the first rank is the best recipe. The order of indistinguishable recipes is "
            f"as much chance as merit; more patients, not more trials, would settle it{_patients_needed(results)}."
        )
    return "It does not show that no better recipe exists, because only what was tried is ranked."


def _patients_needed(results: RankedResults) -> str:
    needed = results.certainty.patients_needed
    if not math.isfinite(needed):
        return ""
    often = "in four of five searches"
    return f": about {rough(needed)} to exclude a recipe that is truly worse by {DIFFERENCE} {often}"


def _about_intervals(results: RankedResults) -> str:
    if not results.measured:
        return ""
    about = "Intervals and comparisons are about new patients for these models as trained. "
    best = results.table.iloc[0]
    ends = interval(best["anew_low"], best["anew_high"], results.digits.score)
    if not ends:
        return about + (
            "They do not say how much the scores would change if the models were trained anew on other patients; to "
            "know that takes several folds, or reruns with other seeds."
        )
    return about + (
        f"Trained anew on other patients, the best recipe has an expected score of {ends} (95 %); comparisons do not "
        "allow for that."
    )


def _test_set(results: RankedResults, models: list[RetrainedModel]) -> str:
    store = results.store
    if not len(store.test):
        return "The store has no test set, so performance on patients without a part in model selection is unknown."
    patients = len(set(store.patients[store.test]))
    looks = len(results.held_out.looks)
    scored = sum(model.scored_on_test for model in models)
    size = f"The test set ({len(store.test):,} slices of {patients:,} patients)"
    if not looks and not scored:
        return f"{size} has not been used: how well the best recipe does on it remains to be seen."
    by = [
        f"{plural(looks, 'time', 'times')} for ranked trials" if looks else "",
        f"for {plural(scored, 'retrained model', 'retrained models')}" if scored else "",
    ]
    return (
        f"{size} was not part of the search and was scored {' and '.join(filter(None, by))}. Once a choice is "
        "based on these scores, it no longer counts as a held-out test set."
    )


def _rare(results: RankedResults) -> str:
    behind = results.cohort.population.set_index("label")
    rare = [
        f"{label} ({behind.at[label, 'train_patients']:.0f})"
        for label in LABELS
        if pd.notna(behind.at[label, "train_patients"]) and behind.at[label, "train_patients"] < FEW_PATIENTS
    ]
    return (
        f"Little can be said about labels with few positive patients outside the test set: {', '.join(rare)}. "
        "Their scores, and their part of the mean, depend on single heads."
        if rare
        else ""
    )


def _undefined(results: RankedResults) -> str:
    folds = len(results.truth.folds)
    behind = results.cohort.population
    missing = [
        f"{label} ({defined} of {folds})"
        for label, defined in zip(behind["label"], behind["defined_folds"], strict=True)
        if defined < folds
    ]
    return (
        f"Not every fold has a positive and a negative of every label; these are scored in some folds only: "
        f"{', '.join(missing)}."
        if missing
        else ""
    )


def _unnamed(results: RankedResults) -> str:
    if results.store.info.patients_known:
        return ""
    return (
        "The source doesn't identify every patient, so slices of one head may be in both training and validation: "
        "scores and intervals may be too optimistic."
    )


def _losses(results: RankedResults) -> str:
    if results.metric != "loss":
        return ""
    return "The order means little between recipes with different losses, as each loss function has its own scale."


def _lost(results: RankedResults) -> str:
    ends = Counter(trial.ended for trial in results.trials)
    lost = [
        f"{ends[kind]} {kind}"
        for kind in (TrialEnd.DIVERGED, TrialEnd.FAILED, TrialEnd.INTERRUPTED)
        if ends[kind]
    ]
    return (
        f"Not every trial ran to its end; of the ranked trials, these did not: {', '.join(lost)}."
        if lost
        else ""
    )
