"""What decides of the score is told from what does not, by shares of its variance."""

from itertools import product
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator
from sklearn.ensemble import RandomForestRegressor

from analysis.hyperparameters.branches import Rung
from analysis.hyperparameters.importance import importance
from analysis.hyperparameters.marginals import Leaves
from ichtune.space import Space
from tests.made_up.rankings import ADAM, run_by_hand, searched
from tests.made_up.spaces import USUAL


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Of a search of 150 trials."""
    results = searched(tmp_path_factory.mktemp("runs") / "run", USUAL, 150)
    return importance(Rung.of(results)).set_index("parameter")


def test_what_matters_is_above_chance_and_what_does_nothing_is_not(table: pd.DataFrame):
    above = table["importance"] > table["chance"]
    matter = ["loss", "optimizer", *(f"optimizer.{name}.lr" for name in ("adam", "radam", "sgd"))]
    idle = ["sampler", "schedule", "loss.focal.gamma", "schedule.plateau.patience"]
    assert above[matter].all()
    assert not above[idle].any()
    assert (
        table.loc[["loss", "optimizer"], "importance"].min()
        > table.loc[["sampler", "schedule"], "importance"].max()
    )


def test_branches_are_told_with_their_trials(table: pd.DataFrame):
    assert table.loc["sampler", ["branch", "trials"]].tolist() == ["", 150]
    optimizers = table.loc[[f"optimizer.{name}.lr" for name in ("adam", "radam", "sgd")]]
    assert optimizers["branch"].tolist() == [f"optimizer is {name}" for name in ("adam", "radam", "sgd")]
    assert optimizers["trials"].sum() == 150


def test_forests_differ_by_less_than_what_they_find(table: pd.DataFrame):
    found = table.loc["optimizer.adam.lr"]
    assert 0 < found["deviation"] < 0.1 * found["importance"]


def test_a_table_comes_out_the_same_again_and_otherwise_for_another_seed(tmp_path: Path):
    results = searched(tmp_path / "run", ADAM, 30)
    again = importance(Rung.of(results))
    pd.testing.assert_frame_equal(importance(Rung.of(results)), again)
    assert not importance(Rung.of(results), seed=1).equals(again)


def test_shares_are_those_of_the_variance(tmp_path: Path):
    space = Space.parse(
        {
            "sampler": {"choice": ["shuffle", "oversample"]},
            "augmentation": {"choice": ["normal", "moderate"]},
        },
        "two",
    )
    trials = [
        (
            {"sampler": sampler, "augmentation": level},
            [0.5 + 0.1 * (sampler == "shuffle") + 0.2 * (level == "normal")] * 2,
        )
        for sampler, level in product(("shuffle", "oversample"), ("normal", "moderate"))
    ]
    told = importance(Rung.of(run_by_hand(tmp_path / "run", space, trials * 20))).set_index("parameter")[
        "importance"
    ]
    # Variances of 0.1 and of 0.2 to and fro are as 1 to 4.
    assert told["sampler"] == pytest.approx(0.2, abs=0.02)
    assert told["augmentation"] == pytest.approx(0.8, abs=0.02)


def test_a_minimised_metric_has_the_same_importances(tmp_path: Path):
    space = ADAM.changed({"metric": "weighted_log_loss"})
    up = importance(Rung.of(searched(tmp_path / "up", ADAM, 40)))
    down = importance(Rung.of(searched(tmp_path / "down", space, 40, sign=-1)))
    both = up.merge(down, on="parameter")
    assert both["importance_x"].to_numpy() == pytest.approx(both["importance_y"].to_numpy(), abs=0.01)


def test_shares_of_a_forest_are_those_of_optunas_fanova():
    rng = np.random.default_rng(0)
    points = rng.random((40, 3))
    scores = (points[:, 0] - 0.4) ** 2 + 0.2 * points[:, 1] * points[:, 0]
    study = optuna.create_study()
    ranges = {name: FloatDistribution(0, 1) for name in "abc"}
    for point, score in zip(points, scores, strict=True):
        params = dict(zip("abc", point.tolist(), strict=True))
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, value=float(score)))
    expected = FanovaImportanceEvaluator(n_trees=8, seed=0).evaluate(study)
    forest = RandomForestRegressor(8, max_depth=64, random_state=0).fit(points, scores)
    leaves = Leaves.of(forest)
    for column, name in enumerate("abc"):
        edges = np.linspace(0, 1, 1001)
        assert leaves.share(column, edges) == pytest.approx(expected[name], abs=1e-3)
