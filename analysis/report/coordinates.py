"""Parallel coordinates: an axis per hyperparameter and one for the score, with each trial's place from 0 to 1."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from analysis.ranking.order import Ranking
from analysis.report.grids import ABSENT
from analysis.tables.rounding import shown
from ichtune import metric_names
from ichtune.space import Dimension
from ichtune.space.distributions import Range
from ichtune.wording import plain

FEW = 6
"""Ranges with at most this many steps are drawn as categories."""
DECADES = 30
"""An axis is logarithmic if its highest number is more than this many times the lowest."""


def parallel(
    ranking: Ranking, dimensions: Sequence[Dimension], *, decimals: int, most: int
) -> dict[str, Any]:
    """Plain data for the page's script: `axes` with their `ticks`, and `trials` with their `places` and `texts`.

    A place is None if the trial lacks the hyperparameter, or a score. The last axis is the score, with better ones
    higher.
    """
    trials = ranking.trials[:most]
    axes = [
        _axis(dimension, [_value(trial.record.params, dimension.name) for trial in trials])
        for dimension in dimensions
    ]
    scores = [None if trial.diverged or math.isnan(trial.score) else trial.score for trial in trials]
    axes.append(_scores(ranking, scores, decimals))
    return {
        "axes": [{"name": axis["name"], "ticks": axis["ticks"]} for axis in axes],
        "trials": [
            {
                "name": trial.short_name,
                "places": [axis["places"][index] for axis in axes],
                "texts": [axis["texts"][index] for axis in axes],
            }
            for index, trial in enumerate(trials)
        ],
    }


def number_text(value: float | None) -> str:
    """Three significant digits: `0.05`, `1e-5`."""
    return ABSENT if value is None else plain(float(f"{value:.3g}"))


def _value(params: Mapping[str, Any], name: str) -> Any:
    """A trial's value; None if it has none, whereas a chosen null is a word."""
    return params[name] if params.get(name) is not None else plain(None) if name in params else None


def _axis(dimension: Dimension, values: list[Any]) -> dict[str, Any]:
    options = dimension.distribution
    different = {value for value in values if value is not None}
    if isinstance(options, Range) and (options.count is None or options.count > FEW):
        return {"name": dimension.name, "texts": list(map(number_text, values)), **_numbers(values)}
    order = sorted(different) if isinstance(options, Range) else options.labels
    chosen = set(map(plain, different))
    return {
        "name": dimension.name,
        **_categories([text for text in map(plain, order) if text in chosen], values),
    }


def _scores(ranking: Ranking, scores: list[float | None], decimals: int) -> dict[str, Any]:
    axis = _numbers(scores)
    if not ranking.maximised:
        axis["places"] = [None if place is None else 1 - place for place in axis["places"]]
        axis["ticks"] = [[1 - place, text] for place, text in axis["ticks"]]
    texts = [shown(score, decimals) or ABSENT for score in scores]
    return {"name": metric_names.in_words(ranking.metric), "texts": texts, **axis}


def _categories(order: list[str], values: list[Any]) -> dict[str, Any]:
    """Evenly spaced places, with half a space at both ends."""
    places = {text: (index + 0.5) / len(order) for index, text in enumerate(order)}
    texts = [ABSENT if value is None else plain(value) for value in values]
    return {
        "places": [None if value is None else places[plain(value)] for value in values],
        "ticks": [[place, text] for text, place in places.items()],
        "texts": texts,
    }


def _numbers(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if not known:
        return {"places": [None] * len(values), "ticks": []}
    low, high = min(known), max(known)
    log = low > 0 and high > DECADES * low
    scale = math.log10 if log else float
    start, span = scale(low), (scale(high) - scale(low)) or 1.0
    locator = LogLocator() if log else MaxNLocator(5)
    inside = [tick for tick in np.asarray(locator.tick_values(low, high)).tolist() if low <= tick <= high]
    return {
        "places": [None if value is None else (scale(value) - start) / span for value in values],
        "ticks": [[(scale(tick) - start) / span, number_text(tick)] for tick in inside or [low]],
    }
