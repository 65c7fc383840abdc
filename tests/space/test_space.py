"""A space from Optuna's side and back: proposals, recipes, points, grids, and what a feature bank needs."""

import pickle
import subprocess
import sys

import cloudpickle
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler

from ichtune.recipe import Model, Recipe
from ichtune.space import ModelVariant, Space, SpaceError
from ichtune.yaml_text import parse_yaml

optuna.logging.set_verbosity(optuna.logging.WARNING)

BRANCHED = """
name: branched
model: {dropout: {choice: [0.0, 0.5]}}
loss:
  choice:
    - {name: bce}
    - {name: bce, pos_weight: balanced}
    - {name: focal, alpha: {choice: [0.25, 0.5, 0.75]}}
optimizer:
  choice:
    - {name: adam, lr: {choice: [1e-3, 1e-4]}}
    - {name: sgd, lr: 0.1}
points:
  baseline: {loss: {name: bce}}
  balanced: {loss: {name: bce, pos_weight: balanced}, optimizer: {name: sgd}}
  focal: {loss: {name: focal, alpha: 0.75}, model: {dropout: 0.5}}
"""


def space(text: str = BRANCHED) -> Space:
    return Space.parse(parse_yaml(text, "test"), "test")


def study(seed: int = 0) -> optuna.Study:
    return optuna.create_study(sampler=RandomSampler(seed=seed))


def test_parameters_carry_their_branch_so_that_ranges_never_clash():
    text = """
    optimizer:
      choice:
        - {name: adam, lr: {loguniform: [1e-5, 1e-2]}}
        - {name: sgd, lr: {loguniform: [1e-3, 1.0]}}
    """
    names = {dimension.name: dimension.when for dimension in space(text).dimensions}
    assert names == {
        "optimizer": "",
        "optimizer.adam.lr": "optimizer is adam",
        "optimizer.sgd.lr": "optimizer is sgd",
    }


def test_no_parameter_has_a_slash_for_ray_to_take_apart():
    text = "model: {choice: [{windows: 40/80, dropout: {uniform: [0, 0.5]}}, {weights: a/b.pt}]}"
    assert [dimension.name for dimension in space(text).dimensions][1] == (
        "model.resnet18 weights=imagenet windows=40|80.dropout"
    )


def test_only_the_chosen_branch_is_asked_for():
    trial = optuna.trial.FixedTrial({"loss": "bce", "optimizer": "sgd", "model.dropout": 0.5})
    assert space().suggest(trial) == {"model.dropout": 0.5, "loss": "bce", "optimizer": "sgd"}


def test_parameters_become_the_recipe():
    params = {"model.dropout": 0.5, "loss": "focal", "loss.focal.alpha": 0.75, "optimizer": "sgd"}
    assert space().recipe(params, seed=7) == Recipe.parse(
        {
            "model": {"dropout": 0.5},
            "loss": {"name": "focal", "alpha": 0.75},
            "optimizer": {"name": "sgd", "lr": 0.1},
            "training": {"seed": 7},
        },
        "by hand",
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model.dropout": 0}, "branched: parameter 'loss' is missing; got model.dropout"),
        (
            {"model.dropout": 0, "loss": "bcd", "optimizer": "sgd"},
            "branched: loss: 'bcd' is not one of bce, bce pos_weight=balanced, focal; did you mean 'bce'?",
        ),
        (
            {"model.dropout": 0, "loss": "bce", "optimizer": "sgd", "optimizer.sgd.lr": 1},
            "branched: 'optimizer.sgd.lr' is not a parameter here; the parameters are model.dropout, loss, optimizer",
        ),
    ],
)
def test_parameters_of_another_space_are_refused(params: dict, message: str):
    with pytest.raises(SpaceError) as caught:
        space().recipe(params)
    assert str(caught.value) == message


def test_lists_are_chosen_by_a_readable_text():
    text = "model: {windows: {choice: [brain, [brain, subdural, soft]]}}"
    recipe = space(text).recipe({"model.windows": "brain, subdural, soft"})
    assert recipe.model.windows == ("brain", "subdural", "soft")


def test_an_option_may_hold_a_range():
    alpha = space("loss: {name: focal, alpha: {choice: [null, {uniform: [0.1, 0.9]}]}}")
    assert (
        alpha.recipe({"loss.alpha": None}).loss
        == Recipe.parse({"loss": {"name": "focal", "alpha": None}}, "").loss
    )
    assert alpha.recipe({"loss.alpha": "uniform", "loss.alpha.uniform": 0.3}).loss.alpha == 0.3


def test_choices_nest():
    adams = {"choice": [{"name": "adam", "lr": {"choice": [1, 2]}}, {"name": "radam"}]}
    nested = Space.parse({"optimizer": {"choice": [adams, {"name": "sgd"}]}}, "nested")
    assert list(nested.grid()) == [
        {
            "optimizer": "adam or radam",
            "optimizer.adam or radam": "adam",
            "optimizer.adam or radam.adam.lr": 1.0,
        },
        {
            "optimizer": "adam or radam",
            "optimizer.adam or radam": "adam",
            "optimizer.adam or radam.adam.lr": 2.0,
        },
        {"optimizer": "adam or radam", "optimizer.adam or radam": "radam"},
        {"optimizer": "sgd"},
    ]


def test_a_section_may_share_its_ranges_between_names():
    shared = space("optimizer: {name: {choice: [adam, sgd]}, lr: {loguniform: [1e-4, 1e-2]}}")
    sgd = shared.recipe({"optimizer.name": "sgd", "optimizer.lr": 0.01}).optimizer
    assert sgd == Recipe.parse({"optimizer": {"name": "sgd", "lr": 0.01}}, "").optimizer


def test_points_are_the_defaults_with_their_changes():
    assert space().points == {
        "baseline": {"model.dropout": 0.0, "loss": "bce", "optimizer": "adam", "optimizer.adam.lr": 1e-3},
        "balanced": {"model.dropout": 0.0, "loss": "bce pos_weight=balanced", "optimizer": "sgd"},
        "focal": {
            "model.dropout": 0.5,
            "loss": "focal",
            "loss.focal.alpha": 0.75,
            "optimizer": "adam",
            "optimizer.adam.lr": 1e-3,
        },
    }


def test_a_change_takes_the_first_branch_that_holds_it():
    text = """
    optimizer:
      choice:
        - {name: adam, lr: {loguniform: [1e-5, 1e-2]}}
        - {name: sgd, lr: {loguniform: [1e-4, 1e-1]}}
    points: {fast: {optimizer: {lr: 0.05}}, slow: {optimizer: {lr: 0.001}}}
    """
    points = space(text).points
    assert points["fast"] == {"optimizer": "sgd", "optimizer.sgd.lr": 0.05}
    assert points["slow"] == {"optimizer": "adam", "optimizer.adam.lr": 0.001}


def test_a_space_without_points_begins_at_its_defaults():
    assert space("augmentation: {choice: [moderate, normal]}").points == {
        "default": {"augmentation": "moderate"}
    }
    assert space("{augmentation: {choice: [moderate, normal]}, points: {}}").points == {}


def test_enqueued_points_come_back_as_they_are():
    branched, trials = space(), study()
    for name, params in branched.points.items():
        trials.enqueue_trial(params, user_attrs={"point": name})
    for name, params in branched.points.items():
        trial = trials.ask()
        assert branched.suggest(trial) == params
        assert trial.user_attrs["point"] == name


def test_the_grid_has_branches_with_their_own_parameters_alone():
    grid = list(space().grid())
    # Two dropouts; bce, balanced and three focal; two rates of adam and one of sgd.
    assert len(grid) == space().count() == 2 * (1 + 1 + 3) * (2 + 1)
    assert grid[0] == {"model.dropout": 0.0, "loss": "bce", "optimizer": "adam", "optimizer.adam.lr": 1e-3}
    assert grid[2] == {"model.dropout": 0.0, "loss": "bce", "optimizer": "sgd"}


def test_a_range_without_gaps_has_no_grid():
    ranged = space("{name: r, model: {dropout: {uniform: [0, 0.5]}}}")
    assert ranged.count() is None
    with pytest.raises(SpaceError) as caught:
        list(ranged.grid())
    assert str(caught.value) == (
        "r: model.dropout: uniform 0..0.5 has infinitely many values; use quniform, choice or int"
    )


def test_a_grid_of_tenths_is_free_of_rounding():
    grid = space("model: {dropout: {quniform: [0, 0.6, 0.1]}}").grid()
    assert [params["model.dropout"] for params in grid] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_the_bank_learns_every_backbone_and_level_once():
    text = """
    model:
      choice:
        - {backbone: resnet18, dropout: {uniform: [0, 0.5]}}
        - {backbone: resnet18, dropout: 0.7}
        - {backbone: densenet121, size: {choice: [128, 224]}}
    augmentation: {choice: [moderate, normal]}
    training: {precision: {choice: [float32, bfloat16]}}
    """
    banked = space(text)
    assert sorted(banked.levels(), key=str) == ["moderate", "normal"]
    assert banked.models() == [
        ModelVariant(Model(backbone=backbone, size=size), precision)
        for backbone, size in [("resnet18", 224), ("densenet121", 128), ("densenet121", 224)]
        for precision in ("float32", "bfloat16")
    ]


def test_a_bank_needs_few_sizes():
    assert len(space("model: {size: {int: [32, 95]}}").models()) == 64
    with pytest.raises(SpaceError) as caught:
        space("{name: b, model: {size: {int: [32, 96]}}}").models()
    assert str(caught.value) == (
        "b: model.size: the backbone's outputs are computed before the search, once for each value; "
        "use a choice of a few instead of int 32..96"
    )


def test_a_metric_tells_its_direction():
    assert space("metric: auc").direction == "max"
    assert space("metric: weighted_log_loss").direction == "min"


@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_the_proposing_function_pickles_for_ray(pickler):
    suggest = pickler.loads(pickler.dumps(space().suggest))
    assert suggest(study(3).ask()) == space().suggest(study(3).ask())


def test_importing_it_loads_no_heavy_library():
    code = "import sys, ichtune.space; print([m for m in ('optuna', 'torch', 'ray', 'rich') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def finite(low: int, high: int) -> st.SearchStrategy:
    ints = st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    choices = st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True)
    return (
        st.integers(low, high)
        | ints.map(lambda ends: {"int": ends})
        | choices.map(lambda some: {"choice": some})
    )


def numbers(low: float, high: float) -> st.SearchStrategy:
    value = st.floats(low, high, allow_subnormal=False)
    ends = st.tuples(value, value).filter(lambda pair: pair[0] < pair[1]).map(list)
    kinds = ["uniform", "loguniform"] if low > 0 else ["uniform"]
    ranges = st.tuples(st.sampled_from(kinds), ends).map(lambda pair: {pair[0]: pair[1]})
    return (
        value
        | ranges
        | st.lists(value, min_size=1, max_size=3, unique=True).map(lambda some: {"choice": some})
    )


def sections(
    number: st.SearchStrategy, whole: st.SearchStrategy, rate: st.SearchStrategy
) -> st.SearchStrategy:
    adam = st.fixed_dictionaries({"name": st.just("adam"), "lr": rate})
    sgd = st.fixed_dictionaries({"name": st.just("sgd"), "lr": rate}, optional={"momentum": number})
    step = st.fixed_dictionaries({"name": st.just("step"), "every": whole})
    return st.fixed_dictionaries(
        {
            "optimizer": adam | sgd | st.tuples(adam, sgd).map(lambda both: {"choice": list(both)}),
            "schedule": step | st.just({"choice": [{"name": "constant"}, {"name": "cosine"}]}),
            "model": st.fixed_dictionaries({}, optional={"dropout": number}),
        }
    )


any_space = sections(numbers(0, 0.9), finite(1, 9), numbers(1e-6, 10))
finite_space = sections(
    st.sampled_from([0.5, {"choice": [0.1, 0.2]}]), finite(1, 4), st.sampled_from([0.1, {"choice": [1, 2]}])
)


@settings(max_examples=50, deadline=None)
@given(any_space, st.integers(0, 999))
def test_every_proposal_is_a_recipe_and_every_default_lies_within(data: dict, seed: int):
    drawn = Space.parse(data, "drawn")
    assert isinstance(drawn.recipe(drawn.suggest(study(seed).ask())), Recipe)
    for dimension in drawn.dimensions:
        distribution = dimension.distribution
        inside = getattr(distribution, "holds", None) or distribution.labels.__contains__
        assert inside(distribution.default)


@settings(max_examples=50, deadline=None)
@given(any_space)
def test_any_space_reads_back_equal_from_its_yaml(data: dict):
    drawn = Space.parse(data, "drawn")
    assert Space.parse(parse_yaml(drawn.to_yaml(), "yaml"), "yaml") == drawn


@settings(max_examples=30, deadline=None)
@given(finite_space)
def test_any_grid_is_as_long_as_its_count_and_repeats_nothing(data: dict):
    drawn = Space.parse(data, "drawn")
    recipes = {drawn.recipe(params) for params in drawn.grid()}
    assert len(recipes) == len(list(drawn.grid())) == drawn.count()
