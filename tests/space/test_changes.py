"""`--set key=value`: what is set where, what gives way, and what is refused."""

import pytest

from ichtune.space import Space, SpaceError
from ichtune.yaml_text import parse_yaml

BASE = """
name: base
loss: {choice: [{name: bce}, {name: bce, pos_weight: balanced}, {name: focal}]}
optimizer:
  choice:
    - {name: adam, lr: {loguniform: [1e-5, 1e-2]}}
    - {name: sgd, lr: {loguniform: [1e-4, 1e-1]}, momentum: 0.5}
  default: sgd
augmentation: {choice: [normal, moderate]}
points:
  baseline: {loss: {name: bce}, optimizer: {name: adam, lr: 1e-4}, augmentation: normal}
"""


def changed(**changes: object) -> Space:
    base = Space.parse(parse_yaml(BASE, "base"), "base")
    return base.changed({key.replace("__", "."): value for key, value in changes.items()})


def names(space: Space) -> list[str]:
    return [dimension.name for dimension in space.dimensions]


def test_a_value_is_set_and_the_rest_stays():
    space = changed(training__epochs=5, model__weights="random")
    recipe = space.recipe(space.points["baseline"])
    assert (recipe.training.epochs, recipe.model.weights, recipe.model.size) == (5, "random", 224)


def test_a_distribution_may_be_set():
    assert "model.dropout" in names(changed(model__dropout={"uniform": [0, 0.3]}))


def test_every_branch_that_has_the_key_gets_it():
    space = changed(optimizer__lr=0.01)
    assert [option["lr"] for option in space.sections["optimizer"].options] == [0.01, 0.01]


def test_a_branch_without_the_key_is_left_alone():
    adam, sgd = changed(optimizer__momentum=0.7).sections["optimizer"].options
    assert "momentum" not in adam
    assert sgd["momentum"] == 0.7


def test_branches_that_become_the_same_become_one():
    loss = changed(loss__pos_weight="balanced").sections["loss"]
    assert [option["name"] for option in loss.options] == ["bce", "focal"]


def test_the_default_branch_stays_the_default():
    assert changed(optimizer__lr=0.01).sections["optimizer"].default == "sgd"
    assert changed(optimizer__weight_decay=0.1).sections["optimizer"].default == "sgd"


def test_a_name_keeps_the_branches_of_that_name():
    space = changed(optimizer__name="sgd")
    assert "optimizer.lr" in names(space)
    assert space.sections["optimizer"]["momentum"] == 0.5
    assert changed(loss__name="bce").sections["loss"].labels == ("bce", "bce pos_weight=balanced")


def test_a_name_turns_a_section_into_that_variant_with_its_values():
    space = changed(schedule__name="cosine")
    unchanged = {"warmup_epochs": 0, "drop": None, "drop_patience": 3}
    assert space.sections["schedule"] == {"name": "cosine", **unchanged}
    lone = Space.parse({"optimizer": {"name": "adam", "weight_decay": 0.3, "lr": 1e-3}}, "lone")
    adamw = lone.changed({"optimizer.name": "sgd"}).sections["optimizer"]
    assert (adamw["weight_decay"], adamw["lr"]) == (0.3, 1e-2)  # 1e-3 was only Adam's own default


def test_a_whole_section_may_be_set():
    assert changed(loss={"name": "mse"}).sections["loss"] == {"name": "mse", "label_weights": None}


def test_the_metric_may_be_set():
    assert changed(metric="f1").metric == "f1"


def test_points_give_way_to_what_is_set():
    assert changed(augmentation="moderate").points["baseline"]["optimizer"] == "adam"
    assert changed(optimizer__lr={"loguniform": [1e-3, 1e-2]}).points["baseline"]["optimizer.adam.lr"] == 1e-3
    assert "optimizer.lr" in changed(optimizer__name="sgd").points["baseline"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizer.lrr", 1, "unknown key 'lrr' in optimizer; did you mean 'lr'?"),
        ("optimiser", 1, "unknown key 'optimiser'; did you mean 'optimizer'?"),
        ("lr", 1, "unknown key 'lr'; did you mean 'optimizer.lr'?"),
        ("metrc", "auc", "unknown key 'metrc'; did you mean 'metric'?"),
        ("augmentation.level", "normal", "unknown key 'level' in augmentation"),
        ("optimizer.lr", -1, "optimizer.lr: must be above 0, got -1"),
        (
            "schedule.factor",
            0.5,
            "schedule.factor: no schedule of this space accepts 0.5 there (it has constant); set schedule as a whole",
        ),
        (
            "loss.name",
            "mse",
            "loss.name: no loss of this space accepts 'mse' there (it has bce, bce pos_weight=balanced, focal); "
            "set loss as a whole",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(key: str, value: object, message: str):
    with pytest.raises(SpaceError) as caught:
        Space.parse(parse_yaml(BASE, "base"), "base").changed({key: value})
    assert str(caught.value) == f"base: {message}"


def test_finetuning_of_a_backbone_that_stays_frozen_is_refused():
    space = Space.parse({}, "frozen")
    for raw in (0.5, {"uniform": [0.5, 1.0]}):
        with pytest.raises(
            SpaceError, match=r"finetuning.layer_decay: has no effect while model.train is frozen"
        ):
            space.changed({"finetuning.layer_decay": raw})
        some = space.changed({"finetuning.layer_decay": raw, "model.train": {"choice": ["frozen", 2]}})
        assert some.recipe({**some.points["default"], "model.train": 2}).model.train == 2
