"""A comparison trains every combination of some settings on the same splits and seeds."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.report.retrained import comparisons
from analysis.retraining.compared import compare
from analysis.retraining.factorial import parse_factors
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plans
from analysis.retraining.train import train
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, rank_of, run, searched, store

pytestmark = pytest.mark.timeout(240)
__all__ = ["run", "searched", "store"]  # fixtures


def test_factors_may_be_given_together_or_apart():
    expected = {"train": ("last", "all"), "size": (224, 512)}
    assert parse_factors(["train=last,all size=224,512"]) == expected
    assert parse_factors(["train=last,all", "size=224,512"]) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["train"], "--compare train: must be NAME=VALUE,VALUE"),
        (["size=32,"], "--compare size=32,: must be NAME=VALUE,VALUE"),
        (["size=32,32"], "has a value twice"),
        (["size=32", "size=48"], "size is given twice"),
    ],
)
def test_what_is_no_factor_is_refused(texts: list[str], message: str):
    with pytest.raises(InputError, match=message):
        parse_factors(texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"factors": {"train": ("lst",)}},
            "--compare train: 'lst' is not one of frozen, last, all; did you mean 'last'",
        ),
        ({"factors": {"trian": ("last",)}}, "--compare: 'trian' is not one of .*did you mean 'train'"),
        ({"factors": {"size": (8, 32)}}, "model.size: must be at least 32, got 8"),
        ({"factors": {"loss.nam": ("bce",)}}, "unknown key 'nam' in loss; did you mean 'name'"),
        ({"factors": {"train": ("last",)}, "top": 2}, "--compare: changes a single recipe"),
    ],
)
def test_a_value_that_can_not_be_is_refused_before_any_training(
    searched: RunFolder, options: dict, message: str
):
    with pytest.raises(InputError, match=message):
        plans(searched, RetrainOptions(**options))


def test_every_combination_is_trained_on_the_same_fold_and_seed(run: RunFolder):
    factors = {"train": ("last", "all"), "head": ("warm", "fresh")}
    options = RetrainOptions(rank=rank_of(run, FROZEN), epochs=1, factors=factors, label="x")
    planned = plans(run, options)
    assert [plan.label for plan in planned] == [
        f"x-{train}-{head}" for train, head in product(*factors.values())
    ]
    assert [plan.recipe.model.train for plan in planned] == ["last", "last", "all", "all"]
    assert len({(plan.folds[0].index, plan.recipe.training.seed) for plan in planned}) == 1

    compare(planned, train(planned), run.path / "retrain" / "x.compared")
    kept = pd.read_csv(run.path / "retrain" / "x.compared" / "compared.csv").set_index(["part", "model"])
    store = planned[0].store
    first = planned[0].label
    for plan in planned:
        predicted = np.load(plan.folder / "out_of_fold.npz")
        truth = store.labels[store.test]
        defined = [label for label in range(6) if 0 < truth[:, label].sum() < len(truth)]
        auc = np.mean([roc_auc_score(truth[:, label], predicted["test"][:, label]) for label in defined])
        assert kept.at[("test", plan.label), "auc"] == pytest.approx(auc)
        difference = auc - kept.at[("test", first), "auc"]
        assert kept.at[("test", plan.label), "auc_difference"] == pytest.approx(difference)
    [shown] = comparisons(run)
    assert shown.label == "x"
    assert len(shown.pictures) == 1
