"""A search goes by a metric that its folds can define, on the folds that its store has."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.metrics import evaluate, is_defined
from ichtune.runs.settings import SearchSettings
from ichtune.search.live_panel import SearchProgress
from ichtune.search.plan import plan
from tests.made_up.cq500 import THICK, write_reads, write_scan
from tests.made_up.dicom import write_rsna


@pytest.fixture(params=[0, 1], ids=["all-negative", "all-positive"])
def one_sided(request: pytest.FixtureRequest, tmp_path: Path) -> SliceStore:
    """A store whose labels are all the same."""
    source = write_rsna(tmp_path / "rsna", size=32)
    table = pd.read_csv(source / "stage_2_train.csv").assign(Label=request.param)
    table.to_csv(source / "stage_2_train.csv", index=False)
    return prepare(source, tmp_path / "store", PrepareOptions(size=32, folds=3, workers=1)).store


@pytest.mark.parametrize("metric", ["auc", "average_precision", "f1", "precision", "recall"])
def test_a_metric_that_no_fold_defines_is_refused_with_what_to_do(one_sided, small_space, metric):
    with pytest.raises(
        InputError, match=rf"{metric} is undefined on every fold.*{re.escape('--set metric=')}"
    ):
        plan(one_sided.path, small_space.changed({"metric": metric}), SearchSettings(name="new"))


@pytest.mark.parametrize("metric", ["weighted_log_loss", "loss", "hamming_score", "subset_accuracy"])
def test_a_metric_that_takes_one_sided_labels_is_not(one_sided, small_space, metric):
    plan(one_sided.path, small_space.changed({"metric": metric}), SearchSettings(name="new"))


def test_a_store_with_labels_of_scans_alone_is_refused_whatever_the_metric(tmp_path, small_space):
    scans = {number: (str(number % 2) * 6,) * 3 for number in range(1, 7)}
    write_reads(tmp_path / "cq500", scans)
    for number in scans:
        write_scan(tmp_path / "cq500", number, {"CT Plain": THICK})
    options = PrepareOptions(size=32, folds=2, test_fraction=1 / 3, workers=1)
    store = prepare(tmp_path / "cq500", tmp_path / "store", options).store
    for metric in ("weighted_log_loss", "auc"):
        with pytest.raises(
            InputError,
            match=r"labels of scans only \(4 scans outside the test set, 2 of them positive\).*--boxes",
        ):
            plan(store.path, small_space.changed({"metric": metric}), SearchSettings(name="new"))


def test_whether_a_metric_is_defined_does_not_hang_on_the_predictions():
    labels = np.zeros((4, 6))
    probs = np.random.default_rng(0).uniform(0.1, 0.9, (4, 6))
    for metric, value in evaluate(probs, labels).items():
        assert is_defined(metric, labels) == np.isfinite(value), metric
    assert evaluate(probs[:, :1].repeat(6, axis=1), labels)["weighted_log_loss"] == pytest.approx(
        log_loss(labels[:, 0], probs[:, 0], labels=[0, 1])
    )
    assert not any(is_defined(metric, labels * np.nan) for metric in ("auc", "loss", "weighted_log_loss"))


def test_a_search_takes_the_stores_folds_unless_it_is_told_otherwise(prepared, small_space):
    assert plan(prepared.path, small_space, SearchSettings(name="new")).settings.folds == 3
    assert plan(prepared.path, small_space, SearchSettings(name="new", folds=2)).settings.folds == 2


def test_the_screen_shows_no_number_in_place_of_a_score_that_is_undefined():
    progress = SearchProgress(3, "auc", maximised=True)
    assert not progress.take("0000", {"epoch": 1, "objective": 0.0, "scored": False})
    assert progress.running["0000"] == "epoch 1, auc undefined"
    assert progress.best is None
    assert progress.take("0001", {"epoch": 1, "objective": 0.0, "scored": True})
    assert progress.best == (0.0, "0001")
