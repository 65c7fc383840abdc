"""Spaces of several whole recipes, among which the parameter `recipe` chooses."""

import optuna
import pytest

from ichtune.space import Space, SpaceError

DROPOUT = {"dropout": {"uniform": [0.0, 0.5]}}
TWO = {
    "name": "two",
    "recipes": {
        "small": {"model": {"size": 64, **DROPOUT}, "training": {"epochs": 3}},
        "large": {"model": {"size": 96, **DROPOUT}, "optimizer": {"name": "sgd"}, "training": {"epochs": 5}},
    },
}


def two(**changes) -> Space:
    return Space.parse(TWO | changes, "two.yaml")


def test_each_recipe_is_tried_first_with_its_defaults():
    assert two().points == {
        "small": {"recipe": "small", "model.dropout": 0.0},
        "large": {"recipe": "large", "model.dropout": 0.0},
    }


def test_recipes_share_the_parameters_that_both_have():
    assert [dimension.name for dimension in two().dimensions] == ["recipe", "model.dropout"]


def test_the_recipe_is_whole_and_never_a_mixture():
    recipe = two().recipe({"recipe": "large", "model.dropout": 0.25})
    assert (recipe.model.size, recipe.model.dropout, recipe.optimizer.name, recipe.training.epochs) == (
        *(96, 0.25, "sgd", 5),
    )


def test_proposals_choose_a_recipe_and_its_values():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = two()
    proposed = [space.suggest(study.ask()) for _ in range(20)]
    assert {params["recipe"] for params in proposed} == {"small", "large"}
    assert all(space.recipe(params) for params in proposed)


def test_everything_that_any_recipe_needs_is_known_beforehand():
    assert [variant.model.size for variant in two().models()] == [64, 96]
    assert two().max_epochs == 5
    assert two().count() is None


def test_a_grid_goes_through_the_recipes_in_order():
    space = two().changed({"model.dropout": {"choice": [0.0, 0.3]}})
    assert space.count() == 4
    assert [params["recipe"] for params in space.grid()] == ["small", "small", "large", "large"]


def test_it_reads_back_as_it_was_written():
    assert Space.parse(two().as_dict(), "again") == two()


def test_a_change_applies_to_every_recipe():
    space = two().changed({"training.epochs": 7})
    assert space.max_epochs == 7
    assert [space.recipe(params).training.epochs for params in space.points.values()] == [7, 7]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": {"size": 64}}, "recipes: each is a whole recipe, so a space can't have model beside them"),
        ({"points": {}}, "recipes: each is a whole recipe, so a space can't have points beside them"),
        ({"recipes": {}}, "recipes: must be a mapping of names to recipes, got {}"),
        ({"recipes": {"a": 3}}, "recipes.a: must be a recipe with a name, got 3"),
        ({"recipes": {"a": {"modell": {}}}}, "recipes.a: unknown key 'modell'; did you mean 'model'?"),
        ({"recipes": {"a": {"model": {"size": 3}}}}, "recipes.a: model.size: must be at least 32, got 3"),
        (
            {"recipes": {**TWO["recipes"], "c": {"model": {"dropout": {"uniform": [0.0, 0.4]}}}}},
            "recipes.c.model.dropout: varies over 0..0.4, but over 0..0.5 in another recipe",
        ),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(SpaceError) as caught:
        two(**data)
    assert message in str(caught.value)


def test_an_unknown_recipe_is_refused_by_name():
    with pytest.raises(
        SpaceError, match=r"recipe: 'smal' is not one of small, large; did you mean 'small'\?"
    ):
        two().recipe({"recipe": "smal", "model.dropout": 0.1})
