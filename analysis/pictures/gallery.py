"""All pictures of a search, written into a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.pictures.curves import curves
from analysis.pictures.folds import folds
from analysis.pictures.importance import importance as draw_importance
from analysis.pictures.knobs import varying
from analysis.pictures.labels import labels
from analysis.pictures.metric import Metric
from analysis.pictures.parallel import parallel
from analysis.pictures.progress import progress
from analysis.pictures.reliability import reliability
from analysis.pictures.saved import saved
from analysis.pictures.slices import slices
from analysis.pictures.style import save
from analysis.pictures.words import trial_name
from ichtune.space.points import BASELINE

if TYPE_CHECKING:
    from analysis.results import RankedResults, RankedTrial


def draw(
    results: "RankedResults",
    folder: Path,
    *,
    importance: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    by_label: pd.DataFrame | None,
) -> list[Path]:
    """Draw what there is to draw of a search, each picture as PNG and SVG; gives the files.

    `importance`, `effects` and `by_label` are tables with the columns that the pictures of those names tell of.
    """
    return [
        file
        for name, figure in _pictures(results, importance, effects, by_label)
        for file in save(figure, folder, name)
    ]


def _pictures(
    results: "RankedResults",
    importance: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    by_label: pd.DataFrame | None,
) -> Iterator[tuple[str, Figure]]:
    """One at a time, so that only one is in memory."""
    trials, request = results.trials, results.run.request
    yield "progress", progress(trials)
    yield "saved", saved(trials)
    if importance is not None and len(importance):
        yield "importance", draw_importance(importance)
    if np.isnan(Metric.of(trials).score(results.best)):
        return  # the best comes first: no other has a score either
    yield "curves", curves(trials, grace=request.settings.grace, reduction=request.settings.reduction)
    knobs = varying(request.space.dimensions, trials)
    if knobs:
        yield "slices", slices(trials, knobs, effects)
        yield "parallel", parallel(trials, knobs)
    yield "folds", folds(trials, _intervals(results), _no_skill(results))
    shown = _shown(trials, by_label)
    if by_label is not None and shown:
        yield "labels", labels(by_label, shown)
    if results.best.logits is not None:
        truth = results.store.labels
        yield "reliability", reliability(results.best.logits, truth, trial_name(results.best))


def _intervals(results: "RankedResults") -> np.ndarray:
    return results.certain[["score_low", "score_high"]].astype(float).to_numpy()


def _no_skill(results: "RankedResults") -> float:
    """The most that can be had without looking."""
    scores = results.no_skill["score"].astype(float)
    return float(scores.max() if results.maximised else scores.min())


def _shown(trials: list["RankedTrial"], by_label: pd.DataFrame | None) -> dict[str, str]:
    """The best trial and the baseline, by the names that they have in the table of labels."""
    if by_label is None or not len(by_label):
        return {}
    known = set(by_label["trial"])
    chosen = [trials[0], *(trial for trial in trials[1:] if trial.record.point == BASELINE)]
    return {
        trial.record.folder.name: trial_name(trial) for trial in chosen if trial.record.folder.name in known
    }
