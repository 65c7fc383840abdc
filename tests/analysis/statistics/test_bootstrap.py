"""Intervals by resampling patients are those of scipy's bootstrap, and say nothing where nothing varies."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from analysis.statistics.bootstrap import PatientBootstrap, mean_of, ratio

PATIENTS = np.repeat(np.arange(40), 5)
RNG = np.random.default_rng(0)
VALUES = np.stack([RNG.random(200) + PATIENTS / 40, np.ones(200)], axis=1)
ALL = np.ones(200, bool)


def test_the_interval_of_a_mean_is_that_of_scipys_bootstrap_over_patients():
    found = PatientBootstrap(PATIENTS).figure(VALUES, ratio, ALL)
    assert found.value == pytest.approx(VALUES[:, 0].mean())
    by_patient = VALUES[:, 0].reshape(40, 5).mean(axis=1)
    expected = bootstrap((by_patient,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert found.ends == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_slices_of_a_patient_are_drawn_together():
    alone = PatientBootstrap(np.arange(200)).figure(VALUES, ratio, ALL).ends
    together = PatientBootstrap(PATIENTS).figure(VALUES, ratio, ALL).ends
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_a_difference_is_paired():
    drawn = PatientBootstrap(PATIENTS)
    before = drawn.figure(VALUES, ratio, ALL)
    after = drawn.figure(VALUES + np.array([0.5, 0]), ratio, ALL)
    assert after.minus(before).value == pytest.approx(0.5)
    np.testing.assert_allclose(after.minus(before).draws, 0.5)


def test_what_is_the_same_in_all_resamples_has_no_interval():
    found = PatientBootstrap(PATIENTS).figure(np.ones((200, 2)), ratio, ALL)
    assert found.value == 1
    assert np.isnan(found.ends).all()


def test_a_sum_of_distances_is_raised_by_resampling_unless_it_is_centred():
    noise = np.stack([np.random.default_rng(3).normal(size=200), np.ones(200)], axis=1)
    found = PatientBootstrap(PATIENTS).figure(noise, lambda sums: np.abs(ratio(sums)), ALL)
    assert found.draws.mean() > 1.2 * found.value
    centred = found.centred()
    assert centred.value == found.value
    assert centred.draws.mean() == pytest.approx(found.value)
    assert centred.ends[1] - centred.ends[0] == pytest.approx(found.ends[1] - found.ends[0])


def test_a_share_of_nothing_is_undefined_and_no_part_of_a_mean():
    drawn, none = PatientBootstrap(PATIENTS), np.zeros(200, bool)
    absent = drawn.figure(VALUES[none], ratio, none)
    assert np.isnan([absent.value, *absent.ends]).all()
    present = drawn.figure(VALUES, ratio, ALL)
    assert mean_of([absent, present]).value == present.value
    assert np.isnan(mean_of([absent]).value)
