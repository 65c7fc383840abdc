"""Recipes: every problem is told with place, value, rule and mend; equal trainings have equal hashes."""

import pytest

from ichtune.metric_names import METRICS
from ichtune.recipe import Recipe, RecipeError, effective, recipe_hash


def refusal(data: object) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(data, "my.yaml")  # ty: ignore[invalid-argument-type]
    return str(caught.value)


def hash_of(**sections: object) -> str:
    return recipe_hash(Recipe.parse(sections, "test"))


def test_a_recipe_reads_back_from_its_own_plain_values():
    recipe = Recipe.parse(
        {"loss": {"name": "focal", "alpha": None}, "model": {"windows": ["brain", "40/380"]}}, "x"
    )
    assert Recipe.parse(recipe.model_dump(mode="json"), "x") == recipe


def test_a_single_window_needs_no_list():
    assert Recipe.parse({"model": {"windows": "brain"}}, "x").model.windows == ("brain",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"optimizer": {"name": "adam", "weigth_decay": 1}},
            "unknown key 'weigth_decay' in optimizer; did you mean 'weight_decay'?",
        ),
        (
            {"optimizer": {"name": "adm"}},
            "optimizer.name: 'adm' is not one of adam, adamw, radam, sgd, rmsprop; did you mean 'adam'?",
        ),
        ({"optimizer": {"lr": 1}}, "optimizer: needs a name, one of adam, adamw, radam, sgd, rmsprop"),
        (
            {"optimizer": {"name": None}},
            "optimizer.name: null is not one of adam, adamw, radam, sgd, rmsprop",
        ),
        ({"optimiser": {}}, "unknown key 'optimiser'; did you mean 'optimizer'?"),
        (
            {"model": {1: 2}},
            "unknown key '1' in model; known keys are backbone, weights, dropout, windows, neighbours, size, train, "
            "widths, block_dropout",
        ),
        (
            {"model": {"train": "frozn"}},
            "model.train: must be 'frozen', 'last' or 'all' or be a whole number, got 'frozn'; did you mean 'frozen'?",
        ),
        ({"model": {"train": 1}}, "model.train: must be 'frozen', 'last' or 'all' or be at least 2, got 1"),
        ({"finetuning": {"layer_decay": 1.5}}, "finetuning.layer_decay: must be at most 1, got 1.5"),
        ({"finetuning": {"backbone_rate": 0}}, "finetuning.backbone_rate: must be above 0, got 0"),
        (
            {"phases": [{"train": "frozen"}, {"train": "nall"}]},
            "phases.2.train: must be 'frozen', 'last' or 'all' or be a whole number, got 'nall'; did you mean 'all'?",
        ),
        (
            {"finetuning": {"batch_norm": "keep"}},
            "finetuning.batch_norm: 'keep' is not one of trained, kept; did you mean 'kept'?",
        ),
        ({"model": {"dropout": 1}}, "model.dropout: must be below 1, got 1"),
        ({"model": {"size": 16}}, "model.size: must be at least 32, got 16"),
        (
            {"model": {"windows": ["brian"]}},
            "model.windows: window 'brian' is neither C/W (e.g. 40/80) nor one of brain, subdural, soft, stroke, bone",
        ),
        ({"model": 3}, "model: must be a mapping of keys to values, got 3"),
        ({"optimizer": {"name": "adam", "lr": "x"}}, "optimizer.lr: must be a number, got 'x'"),
        ({"optimizer": {"name": "adam", "lr": True}}, "optimizer.lr: must be a number, got true"),
        ({"optimizer": {"name": "adam", "lr": 0}}, "optimizer.lr: must be above 0, got 0"),
        (
            {"optimizer": {"name": "sgd", "nesterov": "maybe"}},
            "optimizer.nesterov: must be true or false, got 'maybe'",
        ),
        (
            {"optimizer": {"name": "sgd", "nesterov": True, "momentum": 0}},
            "optimizer: nesterov needs a momentum above 0, got momentum=0",
        ),
        (
            {"loss": {"name": "bce", "label_weights": [0] * 6}},
            "loss.label_weights: must be above 0 for at least one label, got [0, 0, 0, 0, 0, 0]",
        ),
        ({"loss": {"name": "bce", "smoothing": 1}}, "loss.smoothing: must be below 1, got 1"),
        (
            {"loss": {"name": "focal", "smoothing": 0.1}},
            "unknown key 'smoothing' in loss; known keys are name, gamma, alpha, label_weights",
        ),
        (
            {"loss": {"name": "asymetric"}},
            "loss.name: 'asymetric' is not one of bce, focal, mse, asymmetric; did you mean 'asymmetric'?",
        ),
        ({"training": {"mixup": -1}}, "training.mixup: must be at least 0, got -1"),
        ({"training": {"average": 1}}, "training.average: must be below 1, got 1"),
        ({"training": {"epochs": 1.5}}, "training.epochs: must be a whole number, got 1.5"),
        ({"training": {"epochs": float("inf")}}, "training.epochs: must be finite, got inf"),
        (
            {"loss": {"name": "bce", "pos_weight": "balansed"}},
            "loss.pos_weight: must be 'balanced' or be a list, got 'balansed'; did you mean 'balanced'?",
        ),
        (
            {"loss": {"name": "bce", "pos_weight": [1, -2, 1, 1, 1, 1]}},
            "loss.pos_weight[1]: must be at least 0, got -2",
        ),
        ([1], "recipe: must be a mapping of keys to values, got [1]"),
    ],
)
def test_a_problem_is_told_with_its_place_and_mend(data: object, message: str):
    assert refusal(data) == f"my.yaml: {message}"


def test_every_problem_is_told_in_a_line_of_its_own():
    lines = refusal({"model": {"size": 1}, "optimizer": {"name": "adam", "lr": 0}, "los": 1}).splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == ["model.size", "optimizer.lr", "unknown"]


def test_the_hash_is_short_and_the_seed_is_part_of_it():
    assert len(hash_of()) == 12
    assert hash_of() == hash_of(training={"seed": 0})
    assert hash_of() != hash_of(training={"seed": 1})
    assert hash_of() != hash_of(augmentation="moderate")


ONES = [1] * 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": {"windows": "brain"}}, {"model": {"windows": "40/80"}}),
        ({"model": {"windows": "40/80"}}, {"model": {"windows": "40.0/80"}}),
        ({"loss": {"name": "focal", "gamma": 0, "alpha": None}}, {"loss": {"name": "bce"}}),
        ({"loss": {"name": "bce", "pos_weight": ONES, "label_weights": ONES}}, {"loss": {"name": "bce"}}),
        (
            {"optimizer": {"name": "adamw", "weight_decay": 0}},
            {"optimizer": {"name": "adam", "weight_decay": 0}},
        ),
        ({"schedule": {"name": "step", "every": 10}}, {"schedule": {"name": "constant"}}),
        ({"schedule": {"name": "plateau", "patience": 10}}, {"schedule": {"name": "constant"}}),
        (
            {"schedule": {"name": "cosine", "warmup_epochs": 7, "drop": 0.5, "drop_patience": 3}},
            {"schedule": {"name": "cosine", "warmup_epochs": 7}},
        ),
        ({"training": {"patience": 10}}, {"training": {"patience": None}}),
        ({"loss": {"name": "bce", "smoothing": 0}}, {"loss": {"name": "bce"}}),
        (
            {"loss": {"name": "asymmetric", "gamma_pos": 2, "gamma_neg": 2, "clip": 0}},
            {"loss": {"name": "focal", "gamma": 2, "alpha": None}},
        ),
        (
            {"loss": {"name": "asymmetric", "gamma_pos": 0, "gamma_neg": 0, "clip": 0}},
            {"loss": {"name": "bce"}},
        ),
    ],
)
def test_what_cannot_matter_in_ten_epochs_leaves_the_hash_alone(one: dict, other: dict):
    assert hash_of(**one) == hash_of(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"loss": {"name": "focal", "gamma": 0, "alpha": 0.5}}, {"loss": {"name": "bce"}}),
        ({"optimizer": {"name": "adamw"}}, {"optimizer": {"name": "adam", "weight_decay": 0.01}}),
        ({"schedule": {"name": "step", "every": 9}}, {"schedule": {"name": "constant"}}),
        ({"loss": {"name": "bce", "smoothing": 0.1}}, {"loss": {"name": "bce"}}),
        ({"training": {"average": 0.99}}, {}),
        ({"training": {"mixup": 0.2}}, {}),
        (
            {"loss": {"name": "asymmetric", "gamma_pos": 2, "gamma_neg": 2}},
            {"loss": {"name": "focal", "gamma": 2, "alpha": None}},
        ),
        ({"model": {"windows": "40/80"}}, {"model": {"windows": "40.0000001/80"}}),
    ],
)
def test_what_matters_changes_the_hash(one: dict, other: dict):
    assert hash_of(**one) != hash_of(**other)


def test_the_effective_recipe_is_its_own_effective_recipe():
    recipe = Recipe.parse(
        {"loss": {"name": "focal", "gamma": 0, "alpha": None}, "model": {"windows": "soft"}}, "x"
    )
    assert effective(effective(recipe)) == effective(recipe)


def test_losses_are_minimised_and_scores_maximised():
    assert {name for name, metric in METRICS.items() if metric.direction == "min"} == {
        "weighted_log_loss",
        "loss",
    }


def test_recipes_of_earlier_versions_keep_their_hash():
    # Computed by the version before `head`, `smoothing`, `mixup` and `average` were part of a recipe.
    assert hash_of() == "06d96f6cec96"
    assert hash_of(head={"name": "linear"}, sampler="oversample") == "1c02104f652c"


def test_a_head_and_its_settings_are_part_of_the_hash():
    hashes = [
        hash_of(head=head)
        for head in (
            {"name": "linear"},
            {"name": "linear", "normalize": "standard"},
            {"name": "gru"},
            {"name": "gru", "differences": True},
        )
    ]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            {"name": "grru"},
            "head.name: 'grru' is not one of linear, mlp, gru, lstm, attention, conv; did you mean 'gru'?",
        ),
        ({"name": "lstm", "hiden": 3}, "unknown key 'hiden' in head; did you mean 'hidden'?"),
        ({"name": "conv", "kernel": 4}, "head.kernel: must be odd, got 4"),
        (
            {"name": "attention", "hidden": 30},
            "head: hidden must be a multiple of heads, got hidden=30, heads=4",
        ),
        (
            {"name": "linear", "normalize": "standart"},
            "head.normalize: 'standart' is not one of none, standard, layer; did you mean 'standard'?",
        ),
    ],
)
def test_a_problem_with_a_head_is_told_as_any_other(head: dict, message: str):
    assert refusal({"head": head}) == f"my.yaml: {message}"


def test_finetuning_matters_only_to_a_backbone_that_is_trained():
    slower = {"finetuning": {"backbone_rate": 0.1}}
    assert hash_of(**slower) == hash_of()
    assert hash_of(model={"train": "all"}, **slower) != hash_of(model={"train": "all"})
    assert hash_of(model={"train": 2}) not in (
        hash_of(model={"train": "last"}),
        hash_of(model={"train": "all"}),
    )
