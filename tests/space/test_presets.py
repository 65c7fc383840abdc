"""The spaces that come with the package."""

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler
from rich.console import Console

from ichtune.recipe import Recipe
from ichtune.recipe.refusals import variants
from ichtune.space import Space, SpaceError, presets
from ichtune.yaml_text import parse_yaml
from tests.space.test_documented import settings

optuna.logging.set_verbosity(optuna.logging.WARNING)
BY_FINETUNE = {
    "model.train",
    "finetuning.backbone_rate",
    "finetuning.layer_decay",
    "finetuning.batch_norm",
    "phases.1.train",
    "phases.1.epochs",
}
"""How a backbone is trained: `finetune` varies it for the best recipes of a search on frozen ones."""
NOT_IN_FULL = {
    "model.weights": "without pretrained weights, a frozen backbone is no use",
    "model.widths": "of cnn5 and fcn, for which there are no weights",
    "model.block_dropout": "of cnn5 and fcn, and only where they are trained",
    "training.steps": "goes by the size of the data",
    "training.seed": "is repeated (--repeats), not searched",
    "training.precision": "goes by the machine",
    **dict.fromkeys(BY_FINETUNE, "is varied by finetune"),
}
BRANCHES = ("head", "loss", "optimizer", "schedule")
every_preset = pytest.mark.parametrize("name", sorted(presets()))


def test_the_presets_for_a_beginner_a_study_and_a_cluster_are_there():
    assert {"quick", "default", "full"} <= presets().keys()


def test_full_varies_every_setting_that_a_frozen_backbone_leaves_to_a_search():
    space = Space.load("full")
    varied = {dimension.name for dimension in space.dimensions}
    known = {setting for setting, _, _ in settings()}
    assert known - varied == NOT_IN_FULL.keys()
    branches = {
        each.name: set(each.distribution.labels) for each in space.dimensions if each.name in BRANCHES
    }
    assert branches == {section: variants(Recipe, section).keys() for section in BRANCHES}


def test_finetune_varies_how_a_backbone_is_trained():
    space = Space.load("finetune")
    varied = {dimension.name for dimension in space.dimensions}
    assert varied >= {name for name in BY_FINETUNE if not name.startswith("phases.")} | {"phases"}
    [choice] = [each.distribution for each in space.dimensions if each.name == "phases"]
    assert choice.labels == (None, "last 3 then all")


@every_preset
def test_a_preset_is_named_as_its_file(name: str):
    assert Space.load(name).name == name


@every_preset
def test_fifty_random_trials_of_a_preset_are_recipes(name: str):
    space, study = Space.load(name), optuna.create_study(sampler=RandomSampler(seed=0))
    recipes = {space.recipe(space.suggest(study.ask())) for _ in range(50)}
    assert all(isinstance(recipe, Recipe) for recipe in recipes)
    combinations = space.count()
    assert len(recipes) > 25 if combinations is None or combinations > 100 else len(recipes) <= combinations


@every_preset
def test_a_preset_reads_back_equal_from_its_yaml(name: str):
    space = Space.load(name)
    assert Space.parse(parse_yaml(space.to_yaml(), name), name) == space


@every_preset
@pytest.mark.parametrize("columns", [80, 120])
def test_a_preset_fits_a_terminal_with_all_that_it_searches(name: str, columns: int):
    space, console = Space.load(name), Console(width=columns)
    with console.capture() as captured:
        console.print(space.tree())
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= columns
    for dimension in space.dimensions:
        assert dimension.name.rpartition(".")[2] in shown
    for point in space.points:
        assert point in shown


@every_preset
def test_a_preset_opens_with_what_it_is_for(name: str):
    assert presets()[name].read_text().startswith("# ")


@pytest.mark.parametrize("name", ["ablation", "balancing", "schedules", "finetune_study"])
def test_the_points_of_a_study_change_one_thing_each(name: str):
    space = Space.load(name)
    first, *others = [space.recipe(params).model_dump() for params in space.points.values()]
    assert others
    for other in others:
        assert len([section for section in first if first[section] != other[section]]) == 1


def test_the_loss_of_the_winners_is_six_parts_all_labels_and_one_part_any():
    [weights] = {recipe.loss.label_weights for recipe in _recipes("winners")}
    losses = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7])  # the last is that of "any"
    assert np.average(losses, weights=weights) == pytest.approx((6 * losses.mean() + losses[-1]) / 7)


def _recipes(name: str) -> list[Recipe]:
    space = Space.load(name)
    return [space.recipe(params) for params in space.points.values()]


def test_the_quick_preset_needs_no_download():
    models = [variant.model for variant in Space.load("quick").models()]
    assert {(model.backbone, model.weights) for model in models} == {("efficientnet_lite0", "imagenet")}


def test_an_unknown_preset_is_told_with_those_there_are():
    with pytest.raises(SpaceError) as caught:
        Space.load("quik")
    assert str(caught.value) == (
        f"'quik' is not one of the presets {', '.join(presets())}; did you mean 'quick'? "
        "(name a file with its extension, such as my.yaml)"
    )


def test_a_missing_file_is_named():
    with pytest.raises(SpaceError, match=r"^spaces/none\.yaml: no such file$"):
        Space.load("spaces/none.yaml")
