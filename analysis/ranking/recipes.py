"""Ranked recipes in few words: the settings that distinguish them from one another."""

import re
from collections.abc import Mapping
from typing import Any, Final

from analysis.ranking.order import Ranking
from analysis.ranking.trial import varying_parameters
from ichtune.recipe import Phase
from ichtune.recipe.flat import flat
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
        own = {name: value for name, value in flat(trial.record.recipe).items() if value is not None}
        what = settings_text(own, settings)
        texts.append(f"{known}: {what}" if what else known)
    return texts


def settings_text(values: Mapping[str, Any], names: list[str]) -> str:
    """The values of these settings, without those that a recipe lacks."""
    return ", ".join(setting_text(name, values[name]) for name in names if name in values)


def _frozen_ranks(promoted: Promoted | None) -> dict[str, int]:
    return {one.name: one.rank for one in promoted.recipes} if promoted else {}


UNCLEAR: Final = ("model.train", "finetuning.batch_norm")
"""Choices whose values (`all`, `trained`) say little without the key."""
_PHASE: Final = re.compile(rf"^phases\b.*\.(\d+)\.(?:{'|'.join(Phase.model_fields)})\b")


def setting_text(name: str, value: Any) -> str:
    """A setting without the name of its branch: `lr 0.0031`, `phase 2 lr 0.0031`; a choice by its value, if clear."""
    phase = _PHASE.search(name)
    which = f"phase {phase[1]} " if phase else ""
    key = name.rpartition(".")[2]
    if value is None:
        return f"{which}no {key}"
    if isinstance(value, str) and name not in UNCLEAR:
        return f"{which}{value}"
    digits = f"{value:.3g}" if isinstance(value, float) else plain(value)
    return f"{which}{key} {digits}"
