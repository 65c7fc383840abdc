"""Whether promoted recipes can start from the heads that the search trained."""

from collections.abc import Mapping

from analysis.ranking.differences import head_misfit, is_of_head
from ichtune.errors import InputError
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Recipe
from ichtune.space import Space, walks
from ichtune.wording import plain


def refuse_other_heads(space: Space, recipes: Mapping[str, Recipe], *, seed: int, repeats: int = 1) -> None:
    """Refuse changes with which the heads that the recipes start from don't fit.

    `seed` is that of random weights in the search, and each of the `repeats` after the first has another.

    Another size is no such change, as long as the backbone's weights are the same.

    Raises:
        InputError: a head would start on features of another kind, or is to be another one.
    """
    varied = [dimension.name for dimension in space.dimensions if is_of_head(dimension.name)]
    if varied:
        raise InputError(
            f"{varied[0]}: promoted recipes start from their own heads, so it can't vary; leave it as it is"
        )
    for name, params in space.points.items():
        if misfit := head_misfit(recipes[name], space.recipe(params)):
            raise InputError(
                f"{misfit.what}: the heads of recipe {name} were trained with {plain(misfit.searched)}, so it can't "
                f"become {plain(misfit.retrained)}; leave it as it is"
            )
    for name, recipe in recipes.items():
        if recipe.model.weights == "random":
            if repeats > 1:
                raise InputError(
                    f"--repeats: each has other random weights, and the heads of recipe {name} were trained with those "
                    f"of seed {seed}; use 1, got {repeats}"
                )
            _refuse_other_random_weights(space, name, recipe, seed)


def _refuse_other_random_weights(space: Space, name: str, recipe: Recipe, seed: int) -> None:
    """Refuse a size for which the same seed gives other weights, as of a network with a dense layer on its pixels."""
    models = walks.reachable(walks.only(space.trees[name]["model"], ("size",)))
    own = None
    for size in {model["size"] for model in models} - {recipe.model.size}:
        own = own or build_backbone(recipe.model, seed=seed).weights_hash()
        if build_backbone(recipe.model.model_copy(update={"size": size}), seed=seed).weights_hash() != own:
            raise InputError(
                f"model.size: the heads of recipe {name} were trained with {recipe.model.size}, and with {size} the "
                f"random weights of {recipe.model.backbone} are others; use --set model.size={recipe.model.size}"
            )
