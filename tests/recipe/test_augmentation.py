"""Augmentations of one's own: lists of albumentations' transforms."""

import pytest

from ichtune.recipe import Augmentation, Recipe, RecipeError, recipe_hash
from ichtune.recipe.transforms import KINDS

ZOOM = {"name": "zoom", "transforms": [{"RandomResizedCrop": {"scale": [0.7, 1]}}, "HorizontalFlip"]}


def recipe(**augmentation) -> Recipe:
    return Recipe.parse({"augmentation": augmentation}, "mine")


def test_a_list_of_transforms_reads_back_equal_from_plain_data():
    mine = recipe(**ZOOM)
    assert Recipe.parse(mine.model_dump(mode="json"), "again") == mine
    assert mine.model_dump()["augmentation"]["transforms"][1] == {"HorizontalFlip": {}}
    assert str(mine.augmentation) == "zoom"


def test_the_name_of_a_list_trains_nothing_and_its_transforms_do():
    mine, renamed = recipe(**ZOOM), recipe(**{**ZOOM, "name": "other"})
    assert mine.augmentation == renamed.augmentation
    assert recipe_hash(mine) == recipe_hash(renamed)
    assert recipe_hash(mine) != recipe_hash(recipe(name="zoom", transforms=["HorizontalFlip"]))


@pytest.mark.parametrize(
    ("transforms", "problem"),
    [
        ([{"Rotat": {}}], "transforms.1: unknown transform 'Rotat'; did you mean 'Rotate'?"),
        (["Fog"], f"transforms.1: unknown transform 'Fog'; known are {', '.join(KINDS)}"),
        ([{"Rotate": {"limt": 3}}], "unknown key 'limt' in transforms.1.Rotate; did you mean 'limit'?"),
        (
            ["VerticalFlip", {"Rotate": {"p": 2}}],
            "transforms.2.Rotate.p: must be at most 1.0, got 2",
        ),
        (
            [{"Rotate": {"limit": "x"}}],
            "transforms.1.Rotate.limit: must be a list or be a number, got 'x'",
        ),
        (
            [{"RandomResizedCrop": {"size": [64, 64]}}],
            "unknown key 'size' in transforms.1.RandomResizedCrop; known keys are scale, ratio, interpolation, "
            "area_for_downscale, p",
        ),
        (
            [{"Perspective": {"keep_size": False}}],
            "transforms.1.Perspective: must keep an image's size, but makes 214 x 208 of 224 x 224",
        ),
        (
            [{"OneOf": {"transforms": [{"Blurr": {}}]}}],
            "transforms.1.OneOf.transforms.1: unknown transform 'Blurr'; did you mean 'Blur'?",
        ),
        ([{"OneOf": {"p": 0.5}}], "transforms.1.OneOf: needs transforms, a list of them"),
        (
            [{"Rotate": {"limit": {"uniform": [5, 15]}}}],
            "transforms.1.Rotate.limit: must be a value, got {uniform: [5, 15]}; to try several, write a choice of "
            "lists of transforms",
        ),
        (
            [],
            "transforms: must be a list of transforms, such as [{Rotate: {limit: 15}}, HorizontalFlip], got []",
        ),
    ],
)
def test_a_transform_that_cannot_be_used_is_named_with_its_place(transforms, problem):
    with pytest.raises(RecipeError) as caught:
        recipe(name="mine", transforms=transforms)
    assert str(caught.value) == f"mine: augmentation: {problem}"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"transforms": ["D4"]}, "a list of transforms needs a name, got null"),
        (
            {"name": "normal", "transforms": ["D4"]},
            "normal is the name of a level; give the list of transforms another",
        ),
        ({"name": "a", "transform": ["D4"]}, "unknown key 'transform'; did you mean 'transforms'?"),
    ],
)
def test_a_list_needs_a_name_of_its_own(data, problem):
    with pytest.raises(RecipeError) as caught:
        recipe(**data)
    assert str(caught.value) == f"mine: augmentation: {problem}"


def test_an_augmentation_is_made_in_python_too():
    assert Augmentation.parse(ZOOM) == recipe(**ZOOM).augmentation
