"""The recipe of a retraining: a ranked one with what is asked for changed."""

from typing import Any

from analysis.promotion.choose import LR_DIVISOR
from analysis.retraining.options import RetrainOptions
from ichtune.errors import InputError
from ichtune.options import options_of
from ichtune.recipe import Recipe
from ichtune.space import Space
from ichtune.space.phases import space_data
from ichtune.wording import plain


def changed_recipe(recipe: Recipe, metric: str, options: RetrainOptions) -> Space:
    """Return the recipe and its metric with all changes, as a space without dimensions.

    A frozen recipe gets a tenth of its learning rate, unless another is asked for or it remains frozen.

    Raises:
        InputError: a change can't be made, or leaves something to choose.
    """
    changes: dict[str, Any] = {
        option.recipe_key: value
        for option in options_of(RetrainOptions)
        if option.recipe_key and (value := getattr(options, option.name)) is not None
    }
    frozen = recipe.model.train == "frozen"
    if options.train == "frozen":
        changes = {}
    elif recipe.phases:
        changes = _for_phases(recipe, changes, frozen=frozen)
    elif frozen and options.lr is None:
        changes["optimizer.lr"] = recipe.optimizer.lr / LR_DIVISOR
    changes |= options.changes
    searched = {"name": "retrain", "metric": metric, **space_data(recipe)}
    space = Space.parse(searched, "retrain").changed(changes)
    if space.dimensions:
        raise InputError(
            f"--set {space.dimensions[0].name}: a retraining has a single recipe; give a single value"
        )
    return space


def _for_phases(recipe: Recipe, changes: dict[str, Any], *, frozen: bool) -> dict[str, Any]:
    """The same changes to a recipe with phases: those that train nothing but the head train the backbone too."""
    assert recipe.phases
    train = changes.pop("model.train")
    for key in ("optimizer.lr", "training.epochs"):
        if key in changes:
            raise InputError(
                f"--{key.partition('.')[2]}: the recipe has {len(recipe.phases)} phases, each with its own; use e.g. "
                f"--set phases.{len(recipe.phases)}.{key.removeprefix('training.')}={plain(changes[key])}"
            )
    for number, phase in enumerate(recipe.phases if frozen else (), start=1):
        changes[f"phases.{number}.train"] = train
        changes[f"phases.{number}.optimizer.lr"] = phase.optimizer.lr / LR_DIVISOR
    return changes
