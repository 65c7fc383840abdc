"""What a slice's place in its scan predicts by itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.statistics.position import by_position
from ichtune.data.scans import Scans
from ichtune.training.batches import Fold

SLICES = 20


def places(scans: int) -> np.ndarray:
    return np.tile(np.linspace(0, 1, SLICES), scans)


def halves(count: int) -> Fold:
    return Fold(0, np.arange(count // 2), np.arange(count // 2, count))


def test_labels_of_the_middle_of_a_scan_are_found_by_the_place_alone():
    where = places(40)
    labels = np.zeros((len(where), 6))
    middle = np.exp(-((where - 0.5) ** 2) / 0.02)
    labels[:, 0] = np.random.default_rng(0).random(len(where)) < middle
    fold = halves(len(where))
    found = by_position(where, labels, fold)
    assert found is not None
    # As good as the probability that the labels were drawn with, which is the best possible.
    best = roc_auc_score(labels[fold.valid, 0], middle[fold.valid])
    assert roc_auc_score(labels[fold.valid, 0], found[:, 0]) == pytest.approx(best, abs=0.01)
    assert (found[:, 1:] == 0).all()


def test_only_training_slices_with_a_known_label_count():
    where = places(4)
    labels = np.full((len(where), 6), np.nan)
    fold = halves(len(where))
    labels[fold.train[::2]] = 1
    labels[fold.train[1:10:2]] = 0
    labels[fold.valid] = 0
    found = by_position(where, labels, fold)
    assert found is not None
    assert found.mean() > 0.5


def test_slices_of_unknown_place_get_the_prevalence_and_a_store_without_places_no_prediction():
    where = places(10)
    labels = np.zeros((len(where), 6))
    labels[::4] = 1
    fold = halves(len(where))
    where[fold.valid[:3]] = np.nan
    found = by_position(where, labels, fold)
    assert found is not None
    assert found[:3] == pytest.approx(0.25)
    assert by_position(np.full(len(where), np.nan), labels, fold) is None


def test_places_run_from_0_at_the_feet_to_1_at_the_head():
    table = pd.DataFrame(
        {
            "source": "made up",
            "patient_id": list("aaabbc"),
            "study_id": "s",
            "series_id": "1",
            "z_mm": [10.0, 0.0, 5.0, 3.0, np.nan, 1.0],
        }
    )
    assert Scans.of(table).places == pytest.approx([1, 0, 0.5, np.nan, np.nan, np.nan], nan_ok=True)
