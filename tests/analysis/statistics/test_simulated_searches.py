"""The generator that the statistics are checked with has the truths that it claims."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.simulated_searches import CT_ICH, RSNA, SLICES, search


def test_a_trials_auc_on_many_patients_is_its_truth():
    truths = np.array([0.6, 0.8, 0.97])
    made = search(np.random.default_rng(1), CT_ICH, 2000, truths)
    found = [[roc_auc_score(made.labels[:, k], of[:, k]) for k in (0, 5)] for of in made.logits]
    assert np.mean(found, axis=1) == pytest.approx(truths, abs=0.01)


def test_trials_are_correlated_on_the_same_slices_but_not_the_same():
    made = search(np.random.default_rng(2), RSNA, 100, np.full(3, 0.5))
    correlation = np.corrcoef(made.logits[:, :, 5].astype(float))[np.triu_indices(3, 1)]
    assert ((correlation > 0.4) & (correlation < 0.97)).all()


def test_labels_are_as_rare_as_in_the_data_set():
    made = search(np.random.default_rng(3), RSNA, 4000, np.array([0.8]))
    sick = made.labels.reshape(4000, SLICES, 6).any(axis=1).mean(axis=0)
    assert sick == pytest.approx(RSNA.rates, abs=0.03)
