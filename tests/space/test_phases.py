"""Phases in a space: their parameters have names, points and changes reach them, and nothing unused goes unnoticed."""

import pytest

from ichtune.recipe import Adam, Constant, OneCycle, Phase, RAdam
from ichtune.space import Space, SpaceError

HEAD = {
    "train": "last",
    "optimizer": {"name": "adam", "lr": {"loguniform": [1e-4, 1e-2]}},
    "schedule": {"name": "onecycle"},
    "epochs": {"int": [1, 3]},
}
WHOLE = {
    "train": "all",
    "optimizer": {"name": "radam", "lr": 1e-3},
    "schedule": {"name": "constant"},
    "epochs": 4,
}
SHORT = [{"epochs": 2}, {"train": "last"}]


def space(phases: object = (HEAD, WHOLE), **parts: object) -> Space:
    return Space.parse({"phases": phases, **parts}, "it")


def test_what_varies_in_a_phase_is_a_parameter_by_its_number():
    found = space()
    assert [dimension.name for dimension in found.dimensions] == ["phases.1.optimizer.lr", "phases.1.epochs"]
    recipe = found.recipe({"phases.1.optimizer.lr": 0.002, "phases.1.epochs": 3})
    assert recipe.phases == (
        Phase(train="last", optimizer=Adam(lr=0.002), schedule=OneCycle(), epochs=3),
        Phase(train="all", optimizer=RAdam(lr=1e-3), schedule=Constant(), epochs=4),
    )
    assert (recipe.model.train, recipe.training.epochs) == ("all", 7)


def test_phases_are_a_choice_like_any_other_and_survive_yaml(tmp_path):
    found = space({"choice": [None, [HEAD, WHOLE], SHORT]}, training={"epochs": 5}, model={"train": "all"})
    file = tmp_path / "it.yaml"
    file.write_text(found.to_yaml())
    assert Space.load(file).as_dict() == found.as_dict() | {"name": found.name}
    assert found.dimensions[0].distribution.labels == (None, "last then all 4", "2 then last")
    # No phases: 5 epochs; at most 3 + 4; and 2 + 5, as the second takes the recipe's own.
    assert found.max_epochs == 7
    assert found.recipe({"phases": "2 then last"}).phases[1].epochs == 5


def test_every_part_of_the_backbone_that_a_phase_may_train_is_known_before_the_search():
    trained = [each.model.train for each in space({"choice": [None, [HEAD, WHOLE]]}).models()]
    assert trained == ["frozen", "all"]


def test_a_point_changes_phases_one_by_one():
    found = space(points={"long": {"phases": [{"epochs": 3}, {}]}})
    assert found.points["long"] == {"phases.1.optimizer.lr": pytest.approx(1e-3), "phases.1.epochs": 3}
    with pytest.raises(SpaceError, match="must be a list of 2 changes"):
        space(points={"long": {"phases": [{"epochs": 3}]}})
    with pytest.raises(SpaceError, match=r"phases\.2: must be a mapping of changes to train, optimizer"):
        space(points={"long": {"phases": [{}, {"epoch": 3}]}})


def test_a_change_reaches_one_phase_in_every_choice_and_overrides_points():
    changed = space({"choice": [[HEAD, WHOLE], SHORT]}).changed({"phases.1.epochs": 2})
    assert changed.max_epochs == 2 + 10
    pointed = space(points={"long": {"phases": [{"epochs": 3}, {}]}}).changed({"phases.1.epochs": 1})
    assert pointed.points["long"] == {"phases.1.optimizer.lr": pytest.approx(1e-3)}
    assert space(SHORT).changed({"phases.2": {"train": "all"}}).models()[0].model.train == "all"


def test_one_phase_is_the_same_training_as_none():
    from ichtune.recipe import recipe_hash

    assert recipe_hash(space([{}]).recipe({})) == recipe_hash(space(None).recipe({}))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"optimizer": {"name": "sgd"}},
            "optimizer: has no effect, because every phase has its own optimizer",
        ),
        ({"optimizer": {"name": "adam", "lr": {"uniform": [1e-4, 1e-2]}}}, "optimizer: has no effect"),
        ({"training": {"epochs": 3}}, r"training\.epochs: has no effect"),
        ({"model": {"train": "last"}}, r"model\.train: has no effect"),
        ({"schedule": {"name": "cosine"}}, "schedule: has no effect"),
    ],
)
def test_a_setting_that_no_phase_uses_is_an_error(parts, message):
    with pytest.raises(SpaceError, match=message):
        space((HEAD | {"epochs": 1}, WHOLE), **parts)


def test_a_change_that_no_phase_uses_is_an_error_even_to_the_default():
    with pytest.raises(SpaceError, match=r"training\.epochs: has no effect"):
        space().changed({"training.epochs": 10})
    assert space(SHORT).changed({"training.epochs": 3}).max_epochs == 2 + 3


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([], "an empty list never trains anything"),
        ({"train": "all"}, "phases: must be a list, got"),
        ([{"epochs": 0}], r"phases\.1: epochs: must be at least 1, got 0"),
        ([{}, {"trian": "all"}], r"unknown key 'trian' in phases\.2; did you mean 'train'\?"),
        ([{"optimizer": {"name": "adan"}}], r"phases\.1: optimizer\.name: 'adan' is not one of .*'adam'\?"),
        ([3], r"phases\.1: must be a mapping of keys to values, got 3"),
    ],
)
def test_phases_that_can_not_be_are_an_error(phases, message):
    with pytest.raises(SpaceError, match=message):
        space(phases)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("phases.3.epochs", r"phases\.3: there are 2 phases here, numbered from 1"),
        ("phases.1.epoch", r"phases\.1: unknown key 'epoch'; did you mean 'epochs'\?"),
    ],
)
def test_changing_a_phase_that_is_not_there_is_an_error(key, message):
    with pytest.raises(SpaceError, match=message):
        space().changed({key: 1})
