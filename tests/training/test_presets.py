"""Every recipe that a preset tries first is trained for a few steps."""

from itertools import islice

import numpy as np
import pytest
import torch

from ichtune.bank.build import build
from ichtune.bank.plan import plan_parts
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.recipe import Recipe
from ichtune.space import Space, presets
from ichtune.training.experiment import Experiment

pytestmark = pytest.mark.timeout(180)

SMALL = {"model.weights": "random", "model.size": 32, "training.batch_size": 8, "training.steps": 2}
LIGHT = {"model.backbone": "efficientnet_lite0"}
"""In place of a large backbone that is frozen, as its head is what is trained."""
FEW = 3
"""The most combinations of a grid that are trained beside the points."""


def small(name: str) -> Space:
    """The preset with small images, random weights and two epochs of two steps."""
    space = Space.load(name)
    backbones = {variant.model.backbone for variant in space.models()}
    changes = dict(SMALL)
    if backbones - {"cnn5", "fcn"}:
        changes |= LIGHT
    phases = Space.written(name).get("phases")
    if isinstance(phases, list):
        changes |= {f"phases.{number}.epochs": 1 for number, _ in enumerate(phases, 1)}
    else:
        changes["training.epochs"] = 2
    return space.changed(changes)


def recipes(space: Space) -> dict[str, Recipe]:
    """The points, and the first combinations of a small grid."""
    found = {name: space.recipe(params) for name, params in space.points.items()}
    if space.count() is not None:
        grid = [space.recipe(params) for params in islice(space.grid(), FEW)]
        found |= {f"combination {number}": recipe for number, recipe in enumerate(grid)}
    return found


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_recipe_that_a_preset_tries_first_trains(name: str, small_store: SliceStore):
    tried = recipes(small(name))
    frozen = [recipe for recipe in tried.values() if recipe.model.train == "frozen"]
    parts = plan_parts(
        small_store,
        [recipe.model for recipe in frozen],
        [recipe.augmentation for recipe in frozen],
        views=1,
        seed=0,
    )
    build(parts)
    experiment = Experiment(small_store.path, tuple(parts), CrossValidation(2), seed=0)
    for point, recipe in tried.items():
        epochs = list(experiment.epochs(recipe, device=torch.device("cpu"), threads=1))
        assert len(epochs) == 2, point
        assert all(np.isfinite(epoch.train_loss).all() for epoch in epochs), point
