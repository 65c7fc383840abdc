"""A recipe with phases is retrained in phases."""

import pytest

from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan
from analysis.retraining.train import train
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space
from tests.analysis.retraining.test_retrain import store
from tests.made_up.searches import search_without_ray

pytestmark = pytest.mark.timeout(120)
__all__ = ["store"]  # a fixture

PHASED = Space.parse(
    {
        "metric": "weighted_log_loss",
        "model": {"weights": "random", "size": 32},
        "phases": [
            {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}},
            {"epochs": 2, "optimizer": {"name": "adam", "lr": {"choice": [0.01, 0.02]}}},
        ],
        "training": {"batch_size": 8},
    },
    "phased",
)


@pytest.fixture(scope="module")
def run(store: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    settings = SearchSettings(runs=tmp_path_factory.mktemp("runs"), name="phased", folds=3)
    return search_without_ray(store, PHASED, settings, [({"phases.2.optimizer.lr": 0.01}, None)])


def test_phases_that_trained_heads_train_the_backbone_at_a_tenth_of_their_rates(run: RunFolder):
    planned = plan(run, RetrainOptions(train="last"))
    phases = planned.recipe.phases
    assert [(each.train, each.epochs) for each in phases] == [("last", 1), ("last", 2)]
    assert [each.optimizer.lr for each in phases] == pytest.approx([0.01, 0.001])
    changed = {change.what for change in planned.differences}
    assert {"phases.1.train", "phases.2.train", "phases.1.optimizer.lr", "phases.2.optimizer.lr"} <= changed
    [made] = train([planned])
    assert len(made.scores) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"lr": 0.5},
            r"--lr: the recipe has 2 phases, .* --set phases\.2\.optimizer\.lr=0\.5",
        ),
        (
            {"epochs": 7},
            r"--epochs: the recipe has 2 phases, each with its own; use e\.g\. --set phases\.2\.epochs=7",
        ),
    ],
)
def test_what_each_phase_has_of_its_own_is_changed_by_phase(run: RunFolder, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        plan(run, RetrainOptions(**options))


def test_changes_by_phase_are_taken(run: RunFolder):
    planned = plan(run, RetrainOptions(changes={"phases.2.epochs": 1, "phases.1.train": "frozen"}))
    assert [(each.train, each.epochs) for each in planned.recipe.phases] == [("frozen", 1), ("all", 1)]
    assert planned.recipe.training.epochs == 2
