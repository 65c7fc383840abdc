"""All pictures of a search, written to a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.pictures.auc_by_label import labels
from analysis.pictures.curves import curves
from analysis.pictures.epochs_saved import saved
from analysis.pictures.folds import folds
from analysis.pictures.importance_bars import importance as draw_importance
from analysis.pictures.knobs import varying
from analysis.pictures.metric import Metric
from analysis.pictures.parallel import parallel
from analysis.pictures.reliability import reliability
from analysis.pictures.search_progress import progress
from analysis.pictures.slices import slices
from analysis.pictures.style import save
from analysis.pictures.words import trial_name
from ichtune.space.points import BASELINE

if TYPE_CHECKING:
    from analysis.ranking.order import Ranking
    from analysis.ranking.trial import RankedTrial


def draw(
    ranking: "Ranking",
    folder: Path,
    *,
    truth: np.ndarray,
    certain: pd.DataFrame,
    no_skill: pd.DataFrame,
    importance: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    by_label: pd.DataFrame | None,
) -> list[Path]:
    """Draw all available pictures of a search, each as PNG and SVG; returns the files.

    `truth` holds the labels `[N, 6]`, `certain` the intervals of the scores, and `no_skill` the no-skill scores. The
    other tables have the columns that the pictures of the same name show.
    """
    figures = _pictures(ranking, truth, certain, no_skill, importance, effects, by_label)
    return [file for name, figure in figures for file in save(figure, folder, name)]


def _pictures(
    ranking: "Ranking",
    truth: np.ndarray,
    certain: pd.DataFrame,
    no_skill: pd.DataFrame,
    importance: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    by_label: pd.DataFrame | None,
) -> Iterator[tuple[str, Figure]]:
    """Yield one picture at a time, to keep only one in memory."""
    trials, best, request = ranking.trials, ranking.best, ranking.run.request
    yield "progress", progress(trials)
    yield "saved", saved(trials)
    if importance is not None and len(importance):
        yield "importance", draw_importance(importance)
    if np.isnan(Metric.of(trials).score(best)):
        return  # the best trial comes first, so no other has a score either
    yield "curves", curves(trials, grace=request.settings.grace, reduction=request.settings.reduction)
    knobs = varying(request.space.dimensions, trials)
    if knobs:
        yield "slices", slices(trials, knobs, effects)
        yield "parallel", parallel(trials, knobs)
    without_skill = _no_skill(no_skill, maximised=ranking.maximised)
    yield "folds", folds(trials, _intervals(certain), without_skill, ranking.validation)
    shown = _shown(trials, by_label)
    if by_label is not None and shown:
        yield "labels", labels(by_label, shown)
    logits = best.mean_logits
    if logits is not None:
        yield "reliability", reliability(logits, truth, trial_name(best))


def _intervals(certain: pd.DataFrame) -> np.ndarray:
    return certain[["score_low", "score_high"]].astype(float).to_numpy()


def _no_skill(ways: pd.DataFrame, *, maximised: bool) -> tuple[str, float] | None:
    """The best no-skill predictor and its score; None if no score is defined."""
    scores = ways.set_index("trial")["score"].astype(float).dropna()
    if scores.empty:
        return None
    way = scores.idxmax() if maximised else scores.idxmin()
    return str(way), float(scores[way])


def _shown(trials: list["RankedTrial"], by_label: pd.DataFrame | None) -> dict[str, str]:
    """The best trial and the baseline, by the names used in the table of labels."""
    if by_label is None or not len(by_label):
        return {}
    known = set(by_label["trial"])
    chosen = [trials[0], *(trial for trial in trials[1:] if trial.record.point == BASELINE)]
    return {
        trial.record.folder.name: trial_name(trial) for trial in chosen if trial.record.folder.name in known
    }
