"""What a space file may say, and the one message that each mistake gets."""

from pathlib import Path

import pytest

from ichtune.space import Space, SpaceError
from ichtune.yaml_text import parse_yaml


def space(text: str) -> Space:
    return Space.parse(parse_yaml(text, "my.yaml"), "my.yaml")


def refusal(text: str) -> str:
    with pytest.raises(SpaceError) as caught:
        space(text)
    return str(caught.value)


def adam_lr(distribution: str) -> str:
    return f"optimizer: {{name: adam, lr: {distribution}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # keys and names
        ("optimiser: {name: adam}", "unknown key 'optimiser'; did you mean 'optimizer'?"),
        (
            "optimizer: {name: adam, weigth_decay: 1}",
            "unknown key 'weigth_decay' in optimizer; did you mean 'weight_decay'?",
        ),
        (
            "optimizer: {name: adm}",
            "optimizer.name: 'adm' is not one of adam, adamw, radam, sgd, rmsprop; did you mean 'adam'?",
        ),
        ("loss: {gamma: 2}", "loss: needs a name, one of bce, focal, mse, asymmetric"),
        (
            "metric: auk",
            "metric: 'auk' is not one of auc, average_precision, subset_accuracy, hamming_score, f1, precision, "
            "recall, weighted_log_loss, loss; did you mean 'auc'?",
        ),
        ("name: 7", "name: must be text, got 7"),
        ("model: 3", "model: must be a mapping of keys to values, got 3"),
        ("loss: focl", "loss.name: 'focl' is not one of bce, focal, mse, asymmetric; did you mean 'focal'?"),
        ("loss: focal", "loss: must be a mapping of keys to values, such as {name: focal}, got 'focal'"),
        # ranges
        (
            adam_lr("{loguniform: [1e-2, 1e-5]}"),
            "optimizer.lr: low must be below high, got low=0.01, high=1e-5",
        ),
        (adam_lr("{uniform: [1, 1]}"), "optimizer.lr: low must be below high, got low=1, high=1"),
        (adam_lr("{loguniform: [0, 1]}"), "optimizer.lr: loguniform needs low above 0, got low=0"),
        (adam_lr("{loguniform: [1]}"), "optimizer.lr: loguniform takes [low, high], got [1]"),
        (adam_lr("{quniform: [0, 1]}"), "optimizer.lr: quniform takes [low, high, step], got [0, 1]"),
        (
            adam_lr("{uniform: [a, 1]}"),
            "optimizer.lr: uniform takes finite numbers [low, high], got ['a', 1]",
        ),
        (
            adam_lr("{uniform: [0.1, .inf]}"),
            "optimizer.lr: uniform takes finite numbers [low, high], got [0.1, inf]",
        ),
        (
            "training: {epochs: {int: [1.5, 3]}}",
            "training.epochs: int takes whole numbers, got [1.5, 3]; for fractions use uniform",
        ),
        (
            "training: {epochs: {uniform: [1, 9]}}",
            "training.epochs: must be a whole number, but uniform 1..9 includes fractions; use int or logint",
        ),
        (
            "model: {dropout: {quniform: [0, 0.5, 0.2]}}",
            "model.dropout: quniform must reach high in whole steps, got high=0.5; make it 0.4 or 0.6",
        ),
        ("model: {dropout: {quniform: [0, 0.5, 0]}}", "model.dropout: step must be above 0, got step=0"),
        (
            "model: {dropout: {uniform: [0, 0.5], default: 0.7}}",
            "model.dropout: default 0.7 is outside 0..0.5",
        ),
        # distributions in general
        (
            adam_lr("{logunifrm: [1e-5, 1]}"),
            "optimizer.lr: 'logunifrm' is not one of uniform, loguniform, quniform, int, logint, choice; "
            "did you mean 'loguniform'?",
        ),
        (
            adam_lr("{uniform: [0.1, 1], defualt: 0.5}"),
            "unknown key 'defualt' in optimizer.lr beside uniform; did you mean 'default'?",
        ),
        (
            adam_lr("{uniform: [0.1, 1], choice: [1]}"),
            "optimizer.lr: has uniform and choice; must be a single distribution",
        ),
        (adam_lr("{}"), "optimizer.lr: must be a value or a distribution, got {}"),
        (
            "loss: {uniform: [0, 1]}",
            "loss: uniform is for numbers; must be a mapping or a choice of mappings",
        ),
        # choices
        ("augmentation: {choice: []}", "augmentation: an empty choice; give at least one value"),
        ("augmentation: {choice: normal}", "augmentation: choice takes a list, got 'normal'"),
        (
            "augmentation: {choice: [normal, moderate, normal]}",
            "augmentation: duplicate choice: values 1 and 3 are the same; drop one",
        ),
        (
            "loss: {choice: [{name: bce}, {name: bce, pos_weight: null}]}",
            "loss: duplicate choice: values 1 and 2 are the same; drop one",
        ),
        (
            "augmentation: {choice: [normal, moderate], default: moderat}",
            "augmentation: 'moderat' is not one of normal, moderate, aggressive; did you mean 'moderate'?",
        ),
        (
            "loss: {choice: [{name: bce}, {name: mse}], default: focal}",
            "loss: default 'focal' is not one of bce, mse",
        ),
        # what the recipe types refuse, at any end of any branch
        ("model: {dropout: {uniform: [0, 1]}}", "model.dropout: must be below 1, got 1"),
        (
            "model: {size: {choice: [224, 16]}}",
            "model.size: must be at least 32, got 16 [choice 2 of model.size]",
        ),
        (
            "loss: {choice: [{name: bce}, {name: focal, gamma: {choice: [2, -1]}}]}",
            "loss.gamma: must be at least 0, got -1 [choice 2 of loss.gamma] [choice 2 of loss: focal]",
        ),
        (
            "optimizer: {name: sgd, momentum: {choice: [0.9, 0]}, nesterov: {choice: [false, true]}}",
            "optimizer: nesterov needs a momentum above 0, got momentum=0",
        ),
        (
            "optimizer: {name: {choice: [adam, sgd]}, momentum: 0.9}",
            "optimizer.momentum: adam doesn't have momentum; write a choice of branches, each with its own keys",
        ),
        # points
        ("points: [a]", "points: must be a mapping of names to changes, got ['a']"),
        ("points: {p: 3}", "points.p: must be a mapping of changes, got 3"),
        ("points: {p: {los: bce}}", "points.p: unknown key 'los'; did you mean 'loss'?"),
        (
            "points: {p: {model: {dropuot: 0.5}}}",
            "points.p: unknown key 'dropuot' in model; did you mean 'dropout'?",
        ),
        (
            "{model: {dropout: {uniform: [0, 0.5]}}, points: {p: {model: {dropout: 0.7}}}}",
            "points.p: model.dropout: 0.7 is outside 0..0.5",
        ),
        (
            "{sampler: shuffle, points: {p: {sampler: oversample}}}",
            "points.p: sampler: is fixed at shuffle in this space, got oversample",
        ),
        (
            "{loss: {choice: [{name: bce}, {name: mse}]}, points: {p: {loss: {name: focal}}}}",
            "points.p: loss: no option in this space fits {name: 'focal'}; the options are bce, mse",
        ),
        (
            "{loss: {choice: [{name: bce}, {name: mse}]}, points: {p: {loss: mse}}}",
            "points.p: loss: a branch is selected by its content, such as {name: ...}, got 'mse'",
        ),
        (
            "{optimizer: {choice: [{name: adam, lr: {uniform: [0.1, 1]}}, {name: sgd}]},"
            " points: {p: {optimizer: {name: adam, lr: 5}}}}",
            "points.p: optimizer.lr: 5 is outside 0.1..1",
        ),
    ],
)
def test_a_mistake_is_told_with_file_key_and_mend(text: str, message: str):
    assert refusal(text) == f"my.yaml: {message}"


def test_every_mistake_is_told_at_once():
    problems = refusal(
        """
        metric: f2
        model: {size: 1, droput: 0}
        loss: {choice: [{name: bcd}, {name: focal, gamma: -1}]}
        augmentation: {choice: []}
        """
    ).splitlines()
    assert [line.split()[1] for line in problems] == [
        "metric:",
        "model.size:",
        "unknown",
        "loss.name:",
        "loss.gamma:",
        "augmentation:",
    ]


def test_a_file_names_itself_and_the_line(tmp_path: Path):
    file = tmp_path / "my.yaml"
    file.write_text("model:\n\tsize: 128\n")
    with pytest.raises(SpaceError, match=r"my\.yaml, line 2: YAML can't be indented with tabs"):
        Space.load(file)


def test_a_plain_mapping_is_a_space_too():
    assert Space.parse({"optimizer": {"choice": [{"name": "adam"}, {"name": "sgd"}]}}, "python").count() == 2


def test_an_unnamed_space_is_called_after_its_file(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("augmentation: normal\n")
    assert Space.load(tmp_path / "mine.yaml").name == "mine"


def test_a_boolean_field_understands_yes_and_no():
    chosen = space("optimizer: {name: sgd, nesterov: {choice: [no, yes]}}").dimensions[0].distribution
    assert chosen.labels == (False, True)


def default_of(text: str) -> object:
    return space(text).dimensions[0].distribution.default


@pytest.mark.parametrize(
    ("text", "default"),
    [
        (adam_lr("{loguniform: [1e-5, 1e-2], default: 1e-4}"), 1e-4),
        (adam_lr("{loguniform: [1e-5, 1e-2]}"), 1e-3),  # the recipe's own lies within
        (adam_lr("{loguniform: [1e-6, 1e-4]}"), pytest.approx(1e-5)),  # the geometric middle
        ("model: {dropout: {uniform: [0.2, 0.6]}}", pytest.approx(0.4)),
        ("model: {dropout: {quniform: [0.1, 0.4, 0.1]}}", 0.2),  # 0.25, rounded to a step
        ("training: {batch_size: {logint: [1, 16]}}", 4),
        ("augmentation: {choice: [moderate, normal]}", "moderate"),  # the first
        ("augmentation: {choice: [moderate, normal], default: normal}", "normal"),
        ("model: {windows: {choice: [[brain, soft, bone], brain], default: brain}}", "brain"),
        ("loss: {choice: [{name: bce}, {name: bce, pos_weight: balanced}], default: bce pos_weight=balanced}",
         "bce pos_weight=balanced"),
    ],
)  # fmt: skip
def test_the_default_is_given_or_the_recipes_or_the_middle_or_the_first(text: str, default: object):
    assert default_of(text) == default


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (
            "loss: {choice: [{name: bce}, {name: bce, pos_weight: balanced}, {name: focal}]}",
            ("bce", "bce pos_weight=balanced", "focal"),
        ),
        (
            "loss: {choice: [{name: focal, gamma: 1.0}, {name: focal, gamma: 2.5}]}",
            ("focal gamma=1", "focal gamma=2.5"),
        ),
        (
            "optimizer: {choice: [{name: sgd, lr: {loguniform: [1e-4, 1e-2]}}, {name: sgd, lr: 1.0}]}",
            ("sgd", "sgd lr=1"),
        ),
        (
            "optimizer: {choice: [{name: sgd, lr: {uniform: [0.1, 1]}}, {name: sgd, lr: {uniform: [1, 2]}}]}",
            ("sgd lr=0.1..1", "sgd lr=1..2"),
        ),
        (
            "model: {choice: [{backbone: resnet18}, {backbone: resnet18, size: 128}, {backbone: vgg11}]}",
            ("resnet18 size=224", "resnet18 size=128", "vgg11"),
        ),
        ("model: {choice: [{size: 64}]}", ("resnet18",)),
        ("model: {windows: {choice: [brain, [brain, subdural, soft]]}}", ("brain", "brain, subdural, soft")),
        ("loss: {name: focal, alpha: {choice: [null, {uniform: [0.1, 0.9]}]}}", (None, "uniform")),
    ],
)
def test_options_have_short_names_that_tell_them_apart(text: str, labels: tuple):
    assert space(text).dimensions[0].distribution.labels == labels


OWN = "{name: flips, transforms: [{HorizontalFlip: {p: 0.5}}, VerticalFlip]}"


def test_a_list_of_transforms_is_a_level_like_another():
    mine = space(f"augmentation: {{choice: [normal, {OWN}]}}\npoints: {{a: {{augmentation: flips}}}}")
    assert mine.points == {"a": {"augmentation": "flips"}}
    assert [str(level) for level in mine.levels()] == ["normal", "flips"]
    assert str(mine.recipe({"augmentation": "flips"}).augmentation) == "flips"
    assert Space.parse(parse_yaml(mine.to_yaml(), "my.yaml"), "my.yaml") == mine
    assert space("augmentation: normal").changed({"augmentation": parse_yaml(OWN, "my.yaml")}).levels() == [
        mine.recipe({"augmentation": "flips"}).augmentation
    ]


def test_a_transform_in_a_choice_that_cannot_be_used_is_named_with_its_place():
    mine = "augmentation: {choice: [normal, {name: flips, transforms: [HorizontalFlap]}]}"
    assert refusal(mine) == (
        "my.yaml: augmentation: transforms.1: unknown transform 'HorizontalFlap'; did you mean 'HorizontalFlip'? "
        "[choice 2 of augmentation: flips]"
    )
