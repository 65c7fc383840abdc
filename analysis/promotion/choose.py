"""Which recipes of a finished search are promoted, and the space of the search that fine-tunes them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from analysis.promotion.heads import refuse_other_heads
from analysis.ranking.certainty import Certainty
from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from ichtune.errors import InputError
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder
from ichtune.runs.promoted import Promoted, PromotedRecipe, Promotion
from ichtune.runs.settings import SearchSettings
from ichtune.runs.trial_folder import HEADS, kept_file
from ichtune.space import Space
from ichtune.space.phases import space_data
from ichtune.wording import not_one_of, plural

TOP: Final = 8
"""How many of the best are promoted, unless something else is requested."""
TIES: Final = "ties"
# A learning rate that suits a new head destroys a pretrained backbone.
LR_DIVISOR: Final = 10


class Promoting(NamedTuple):
    """A search that fine-tunes: everything that `ichtune.search.plan.plan` needs."""

    data: str | Path
    space: Space
    settings: SearchSettings
    promotion: Promotion


def promote(
    settings: SearchSettings,
    changes: Mapping[str, object],
    *,
    given: set[str],
    data: str | Path | None = None,
    space: Space | None = None,
) -> Promoting:
    """Choose the recipes of the run `settings.promote` and return the search that fine-tunes them.

    Each recipe trains its whole backbone at a tenth of its learning rate, unless `changes` (distributions or values by
    recipe key) say otherwise; where they vary a setting, each recipe is tried first with its own, if that is among
    them. Store, folds and seed are the run's; `given` names the settings that the user chose.
    A `space` of recipes says instead which trials of the run are promoted, by their names, and how each is trained.

    Raises:
        InputError: the run is under way or has no usable recipes, too many are requested, or a change doesn't go with
            the heads.
    """
    run = RunFolder.open(str(settings.promote), data)
    run.refuse_while_searching("--promote")
    ranking = Ranking.of(run, data=data)
    trials = _chosen(ranking, settings, space.recipes if space else None)
    recipes = {trial.short_name: trial.record.recipe for trial in trials}
    promotion = Promotion(
        Promoted(
            str(run),
            tuple(
                PromotedRecipe(trial.short_name, trial.name, ranking.trials.index(trial) + 1)
                for trial in trials
            ),
        ),
        recipes,
        {trial.short_name: _heads(trial) for trial in trials},
        run.path,
    )
    space = space.changed(changes) if space else _space(run, recipes, changes)
    refuse_other_heads(space, recipes, seed=run.request.settings.seed, repeats=settings.repeats)
    return Promoting(
        run.request.open_store(data).place, space, _settings(run, settings, space, given), promotion
    )


def _chosen(ranking: Ranking, settings: SearchSettings, named: list[str] | None) -> list[RankedTrial]:
    ways = {"--top": settings.top, "--spread": settings.spread, "--space with recipes": named}
    if len(asked := [way for way, value in ways.items() if value is not None]) > 1:
        raise InputError(f"{', '.join(asked)}: each says which recipes are promoted; use one of them")
    usable = [
        trial
        for trial in ranking.trials
        if trial.record.recipe.model.train == "frozen" and not trial.diverged and np.isfinite(trial.score)
    ]
    if not usable:
        raise InputError(
            f"--promote: {ranking.run} has no recipe with a frozen backbone and a score; promote a run that has"
        )
    if named is not None:
        by_name = {trial.short_name: trial for trial in usable}
        if unknown := [name for name in named if name not in by_name]:
            raise InputError(
                f"--space: of the trials of {ranking.run}, its recipe {not_one_of(unknown[0], by_name)}"
            )
        return [by_name[name] for name in named]
    if settings.top == TIES:
        return [trial for trial in _best_set(ranking) if trial in usable]
    count = settings.spread or _count(settings.top, len(usable))
    if count > len(usable):
        option = "--spread" if settings.spread else "--top"
        raise InputError(
            f"{option}: {ranking.run} has {plural(len(usable), 'recipe', 'recipes')} with a frozen backbone and a "
            f"score, so choose at most {len(usable)}, got {count}"
        )
    if settings.spread:
        return [usable[place] for place in np.linspace(0, len(usable) - 1, count).round().astype(int)]
    return usable[:count]


def _count(top: str | None, usable: int) -> int:
    if top is None:
        return min(TOP, usable)
    if not top.isdecimal() or int(top) < 1:
        raise InputError(f"--top: must be a whole number from 1, or {TIES}, got {top!r}")
    return int(top)


def _best_set(ranking: Ranking) -> list[RankedTrial]:
    """The trials that hold the truly best one with 95 % confidence."""
    request = ranking.run.request
    cohort = Cohort(request.open_store(), request.validation)
    places = Certainty(ranking, cohort.truth).best_set
    if not places:
        raise InputError(
            f"--top {TIES}: {ranking.run} kept no predictions to compare its recipes by; use --top {TOP}"
        )
    return [ranking.trials[place] for place in places]


def _heads(trial: RankedTrial) -> Path:
    file = kept_file(trial.record.folder, HEADS, "promote others with --top or --spread")
    if file is None:
        raise InputError(
            f"{trial.record.folder}: this trial kept no heads to start from; search again, or promote others with "
            "--top or --spread"
        )
    return file


def _space(run: RunFolder, recipes: Mapping[str, Recipe], changes: Mapping[str, object]) -> Space:
    tuned = {name: Recipe.parse(_fine_tuned(recipe), name) for name, recipe in recipes.items()}
    trees = {name: space_data(recipe) for name, recipe in tuned.items()}
    described = f"fine-tuning of {plural(len(recipes), 'recipe', 'recipes')} of {run.name}"
    metric = run.request.space.metric
    data = {"name": "finetune", "description": described, "metric": metric, "recipes": trees}
    return Space.parse(data, "--promote").changed(changes).beginning_at(tuned)


def _fine_tuned(recipe: Recipe) -> dict[str, Any]:
    data = recipe.model_dump(mode="json")
    data["model"]["train"] = "all"
    for part in data["phases"] or [data]:
        part["optimizer"]["lr"] /= LR_DIVISOR
    for phase in data["phases"] or []:
        phase["train"] = "all"
    return data


def _settings(run: RunFolder, settings: SearchSettings, space: Space, given: set[str]) -> SearchSettings:
    """The settings with what must be, or usually is, as in the promoted run."""
    request = run.request
    folds = settings.folds or request.folds
    if folds > request.folds:
        raise InputError(
            f"--folds: {run} has heads of {request.folds} folds to start from; must be at most that, got {folds}"
        )
    if settings.repeats_cv > 1:
        raise InputError(
            f"--repeats-cv: {run} has heads of the store's own folds to start from, so use 1 (--repeats trains with "
            f"several seeds), got {settings.repeats_cv}"
        )
    if "seed" in given and settings.seed != request.settings.seed:
        raise InputError(
            f"--seed: random weights depend on it, and the heads were trained with seed {request.settings.seed}; leave "
            f"it out, got {settings.seed}"
        )
    fixed = len(space.dimensions) == 1  # besides the choice of the recipe
    trials = settings.trials if "trials" in given or not fixed else len(space.recipes)
    return replace(settings, promote=str(run), folds=folds, seed=request.settings.seed, trials=trials)
