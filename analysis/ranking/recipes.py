"""Ranked recipes in few words: the settings that distinguish them from one another."""

from collections.abc import Mapping
from typing import Any

from analysis.ranking.differences import flat
from analysis.ranking.order import Ranking
from analysis.ranking.trial import varying_parameters
from ichtune.runs.promoted import Promoted
from ichtune.space.recipes import RECIPE
from ichtune.wording import plain


def recipe_texts(ranking: Ranking) -> list[str]:
    """Each trial's values of the varying parameters: `dropout 0.12, focal, alpha 0.5, adam, lr 0.0031`.

    A recipe that its space names is shown by that name, by its rank in the run that it was promoted from, and by the
    settings in which the ranked ones differ: `0002 (frozen rank 3): dropout 0.32, adam, lr 0.00031`.
    """
    named = [trial for trial in ranking.trials if RECIPE in trial.record.params]
    settings = varying_parameters([flat(trial.record.recipe) for trial in named])
    ranks = {run.name: _frozen_ranks(Promoted.of(run)) for run in ranking.runs} if named else {}
    texts = []
    for trial in ranking.trials:
        params, name = trial.record.params, trial.record.params.get(RECIPE)
        if name is None:
            texts.append(settings_text(params, ranking.varying))
            continue
        rank = ranks[trial.run.name].get(str(name))
        known = f"{name} (frozen rank {rank})" if rank else str(name)
        what = settings_text(flat(trial.record.recipe), settings)
        texts.append(f"{known}: {what}" if what else known)
    return texts


def settings_text(values: Mapping[str, Any], names: list[str]) -> str:
    """The values of these settings, without those that a recipe lacks."""
    return ", ".join(_short(name, values[name]) for name in names if values.get(name) is not None)


def _frozen_ranks(promoted: Promoted | None) -> dict[str, int]:
    return {one.name: one.rank for one in promoted.recipes} if promoted else {}


def _short(name: str, value: Any) -> str:
    """A parameter without the name of its branch: `lr 0.0031`; a choice by its value only."""
    if isinstance(value, str):
        return value
    digits = f"{value:.3g}" if isinstance(value, float) else plain(value)
    return f"{name.rpartition('.')[2]} {digits}"
