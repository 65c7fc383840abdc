"""Recipes of a finished search are promoted to one that trains their backbones, each from its own heads."""

import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from optuna.samplers import RandomSampler
from safetensors.torch import load_file

from analysis.hyperparameters.branches import Rung
from analysis.hyperparameters.importance import importance
from analysis.promotion.choose import promote
from analysis.promotion.heads import refuse_other_heads
from analysis.ranking.order import Ranking
from analysis.report.repeat import search_command
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.heads.saved import unpack
from ichtune.recipe import Finetuning, Recipe
from ichtune.runs.folder import RunFolder
from ichtune.runs.promoted import Promoted, promoted_heads
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.search.trial import TrialJob
from ichtune.space import Space
from ichtune.yaml_text import parse_yaml
from tests.made_up.rankings import run_by_hand
from tests.made_up.records import new_run
from tests.made_up.searches import run_trial, search_without_ray
from tests.made_up.spaces import SMALL

pytestmark = pytest.mark.timeout(60)

SPACE = Space.parse(SMALL, "small.yaml")
RATES = (1e-4, 1e-3, 1e-2)


@pytest.fixture(scope="module")
def frozen(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of three recipes on a frozen backbone that differ in their learning rate."""
    settings = SearchSettings(
        runs=tmp_path_factory.mktemp("runs"), name="frozen", folds=3, views=2, engine="torch"
    )
    recipes = [
        (
            {"model.dropout": 0.0, "optimizer": "adam", "optimizer.adam.lr": rate, "augmentation": "normal"},
            None,
        )
        for rate in RATES
    ]
    store = shutil.copytree(prepared.path, tmp_path_factory.mktemp("data") / "store")
    return search_without_ray(SliceStore.open(store), SPACE, settings, recipes)


def settings(run: RunFolder, **changes) -> SearchSettings:
    return replace(SearchSettings(promote=str(run), name="tuned", runs=run.path.parent), **changes)


def test_the_best_train_their_whole_backbone_at_a_tenth_of_their_rate(frozen: RunFolder):
    made = promote(settings(frozen, top="2"), {}, given=set())
    best = [trial.short_name for trial in Ranking.of(frozen).trials[:2]]
    assert made.space.recipes == best
    tuned = {name: made.space.recipe(params) for name, params in made.space.points.items()}
    for name in best:
        before = made.promotion.recipes[name]
        assert tuned[name].model.train == "all"
        assert tuned[name].optimizer.lr == pytest.approx(before.optimizer.lr / 10)
        assert tuned[name].head == before.head
    assert made.settings.trials == 2


def test_a_spread_holds_the_best_the_middle_and_the_worst(frozen: RunFolder):
    made = promote(settings(frozen, spread=3), {}, given=set())
    assert [one.rank for one in made.promotion.promoted.recipes] == [1, 2, 3]


def test_a_change_may_vary_for_all_recipes(frozen: RunFolder):
    changes = {"model.train": {"choice": ["last", "all"]}, "optimizer.lr": 1e-5}
    made = promote(settings(frozen, top="2"), changes, given=set())
    assert made.space.count() == 4
    assert {made.space.recipe(params).optimizer.lr for params in made.space.grid()} == {1e-5}
    assert made.settings.trials == 30


def test_the_preset_varies_for_every_recipe_how_it_is_fine_tuned(frozen: RunFolder):
    sizes = {"model.size": {"choice": [64, 32]}}
    made = promote(settings(frozen, top="2"), Space.written("finetune") | sizes, given=set())
    names = [dimension.name for dimension in made.space.dimensions]
    assert names == [
        "recipe",
        "model.size",
        "model.train",
        "training.epochs",
        "training.patience",
        "training.mixup",
        "training.average",
        "finetuning.backbone_rate",
        "finetuning.layer_decay",
        "finetuning.batch_norm",
        "phases",
    ]
    assert made.settings.trials == 30
    for name, params in made.space.points.items():
        first, before = made.space.recipe(params), made.promotion.recipes[name]
        assert first.finetuning == Finetuning()
        assert (first.model.train, first.model.size) == ("all", before.model.size)
        assert first.optimizer.lr == pytest.approx(before.optimizer.lr / 10)
    again = Space.parse(parse_yaml(made.space.to_yaml(), "written"), "written")
    assert again == made.space


def test_importance_tells_the_recipe_from_how_it_is_fine_tuned(frozen: RunFolder, tmp_path: Path):
    sizes = {"model.size": {"choice": [64, 32]}}
    space = promote(settings(frozen, top="2"), Space.written("finetune") | sizes, given=set()).space
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    params = [space.suggest(study.ask()) for _ in range(40)]
    # Whatever the recipe, kept batch normalisation is worth a tenth, and nothing else anything.
    trials = [(each, [0.6 + 0.1 * (each["finetuning.batch_norm"] == "kept")] * 2) for each in params]
    shares = importance(Rung.of(run_by_hand(tmp_path / "run", space, trials))).set_index("parameter")[
        "importance"
    ]
    assert set(shares.index) == {dimension.name for dimension in space.dimensions}
    assert shares["finetuning.batch_norm"] > 0.8
    assert shares["recipe"] < 0.05


def test_a_recipe_is_tried_first_with_its_own_value_if_that_is_among_those_that_vary(frozen: RunFolder):
    changes = {
        "optimizer.lr": {"loguniform": [5e-5, 5e-3]},
        "augmentation": {"choice": ["moderate", "normal"]},
        "training.epochs": {"choice": [9, 4]},
    }
    made = promote(settings(frozen, spread=3), changes, given=set())
    for name, params in made.space.points.items():
        rate = made.promotion.recipes[name].optimizer.lr / 10
        # A tenth of the lowest is outside of the range, which then begins at Adam's own default.
        assert params["optimizer.lr"] == pytest.approx(rate if rate > 5e-5 else 1e-3)
        assert params["augmentation"] == "normal"
        assert params["training.epochs"] == 9


def test_a_trial_begins_with_the_heads_of_the_search(frozen: RunFolder, tmp_path: Path):
    still = {"optimizer.lr": 1e-12, "training.epochs": 1}
    made = promote(settings(frozen, top="1", folds=2, runs=tmp_path), still, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    run = new_run(planned.run, planned.request)
    made.promotion.write(run)
    assert Promoted.of(run) == made.promotion.promoted
    job = TrialJob(planned.experiment, planned.space, run, threads=1, promotes=True)
    [name] = made.space.recipes
    assert run_trial(job, {"number": 0, "params": made.space.points[name], "point": name})[-1]["done"]
    [trained] = run.trials.glob("*/best.safetensors")
    before = load_file(Ranking.of(frozen).best.record.folder / "best.safetensors")
    for fold in (0, 1):
        now, then = (unpack(tensors, fold)["weights"] for tensors in (load_file(trained), before))
        torch.testing.assert_close(now, then)


def test_the_promoted_run_needs_the_earlier_one_no_more(frozen: RunFolder, tmp_path: Path):
    gone = RunFolder(Path(shutil.copytree(frozen.path, tmp_path / "gone")))
    made = promote(settings(gone, top="1", runs=tmp_path), {}, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    run = new_run(planned.run, planned.request)
    made.promotion.write(run)
    shutil.rmtree(gone.path)
    assert promoted_heads(run, made.space.recipes[0], [0])


@pytest.mark.parametrize(
    ("changed", "changes", "message"),
    [
        ({"top": "9"}, {}, r"--top: .* has 3 recipes .* choose at most 3, got 9"),
        ({"top": "best"}, {}, r"--top: must be a whole number from 1, or ties, got 'best'"),
        ({"spread": 4}, {}, r"--spread: .* choose at most 3, got 4"),
        (
            {"top": "1", "spread": 2},
            {},
            r"--top, --spread: each says which recipes are promoted; use one of them",
        ),
        ({"folds": 4}, {}, r"--folds: .* has heads of 3 folds to start from; must be at most that, got 4"),
        ({"repeats_cv": 2}, {}, r"--repeats-cv: .* so use 1 .*, got 2"),
        ({"repeats": 2}, {}, r"--repeats: each has other random weights, .* seed 0; use 1, got 2"),
        ({}, {"head.name": "mlp"}, r"head.name: the heads of recipe .* were trained with linear"),
        ({}, {"model.backbone": "resnet34"}, r"model.backbone: the heads of recipe .* trained with resnet18"),
        ({}, {"head.normalize": {"choice": ["none", "layer"]}}, r"head.normalize: .* so it can't vary"),
        (
            {},
            {"model.windows": ["brain", "bone"]},
            r"model.windows: .* trained with brain, so it can't become",
        ),
        ({}, {"model.windows": {"choice": ["brain", "bone"]}}, r"model.windows: .* so it can't vary"),
        ({}, {"model.neighbours": 1}, r"model.neighbours: .* trained with 0, so it can't become 1"),
    ],
)
def test_what_is_refused(frozen: RunFolder, changed: dict, changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        promote(settings(frozen, **changed), changes, given=set())


def test_a_size_with_which_random_weights_are_others_is_refused():
    recipe = Recipe.parse({"model": {"backbone": "cnn5", "weights": "random", "size": 32}}, "small")

    def promoted(size: int) -> Space:
        tree = recipe.model_dump(mode="json")
        tree["model"]["size"] = size
        return Space.parse({"recipes": {"0001": tree}}, "promoted")

    refuse_other_heads(promoted(32), {"0001": recipe}, seed=0)
    with pytest.raises(
        InputError,
        match=r"^model.size: the heads of recipe 0001 were trained with 32, and with 64 the random weights of cnn5 ",
    ):
        refuse_other_heads(promoted(64), {"0001": recipe}, seed=0)


def test_another_seed_is_refused_because_random_weights_depend_on_it(frozen: RunFolder):
    with pytest.raises(InputError, match=r"--seed: .* trained with seed 0; leave it out, got 5"):
        promote(settings(frozen, seed=5), {}, given={"seed"})


def test_a_run_without_heads_is_refused(frozen: RunFolder, tmp_path: Path):
    run = RunFolder(Path(shutil.copytree(frozen.path, tmp_path / "frozen")))
    for file in run.trials.glob("*/best.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=r"this trial kept no heads to start from"):
        promote(settings(run), {}, given=set())


def test_the_reports_command_and_space_promote_the_same_again(frozen: RunFolder, tmp_path: Path):
    made = promote(settings(frozen, top="2", runs=tmp_path), {}, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    run = new_run(planned.run, planned.request)
    command = search_command(run, "store", "tuned.yaml")
    assert f"--space tuned.yaml --trials 2 --name tuned --folds 3 --promote {frozen}" in command
    assert "--top" not in command
    (tmp_path / "tuned.yaml").write_text(made.space.to_yaml())
    space = Space.load(tmp_path / "tuned.yaml")
    again = promote(settings(frozen), {}, given=set(), space=space)
    assert again.space == space == made.space
    assert again.promotion == made.promotion


def test_a_space_whose_recipes_are_not_the_runs_is_refused(frozen: RunFolder):
    space = Space.parse({"recipes": {"0009": {}}}, "other.yaml")
    with pytest.raises(
        InputError, match=r"--space: of the trials of .*, its recipe '0009' is not one of 000"
    ):
        promote(settings(frozen), {}, given=set(), space=space)


def test_a_recipes_own_trial_has_no_name_that_a_later_trial_could_have(frozen: RunFolder, tmp_path: Path):
    made = promote(settings(frozen, top="1", folds=1, runs=tmp_path), {"training.epochs": 1}, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    run = new_run(planned.run, planned.request)
    made.promotion.write(run)
    job = TrialJob(planned.experiment, planned.space, run, threads=1, promotes=True)
    [name] = made.space.recipes
    run_trial(job, {"number": 7, "params": made.space.points[name], "point": name})
    best = Ranking.of(run).best
    assert (best.record.point, best.short_name) == (name, "0007")
