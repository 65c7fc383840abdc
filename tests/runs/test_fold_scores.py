"""Scores of folds at epochs that the other folds chose."""

import numpy as np
import pytest

from ichtune.runs.fold_scores import FoldScores
from ichtune.runs.records import EpochRecord
from tests.made_up.records import epoch as record

NAN = float("nan")


def epochs(*by_fold: list[float], metric: str = "auc", diverged: tuple[int, ...] = ()) -> list[EpochRecord]:
    """One record per list of the folds' values."""
    return [
        record(number, {metric: NAN}, folds={metric: values}, diverged=number in diverged)
        for number, values in enumerate(by_fold, 1)
    ]


def test_each_fold_is_scored_at_the_epoch_that_the_others_like_best():
    scores = FoldScores.of(epochs([0.6, 0.7, 0.9], [0.9, 0.6, 0.6], [0.5, 0.8, 0.7]), "auc")
    # Means of the others: fold 0: .8, .6, .75; fold 1: .75, .75, .6; fold 2: .65, .75, .65.
    assert [epoch.epoch for epoch in scores.epochs] == [1, 1, 2]
    assert scores.folds["auc"].tolist() == [0.6, 0.7, 0.6]
    assert scores.mean["auc"] == pytest.approx(1.9 / 3)
    assert scores.std["auc"] == pytest.approx(np.std([0.6, 0.7, 0.6], ddof=1))


def test_a_loss_is_best_where_it_is_lowest():
    scores = FoldScores.of(epochs([0.3, 0.2], [0.1, 0.4], metric="loss"), "loss")
    assert scores.folds["loss"].tolist() == [0.3, 0.4]


def test_other_metrics_are_those_of_the_same_epochs():
    rows = [
        record(1, {"auc": NAN, "f1": NAN}, folds={"auc": [0.5, 0.9], "f1": [0.1, 0.2]}),
        record(2, {"auc": NAN, "f1": NAN}, folds={"auc": [0.6, 0.8], "f1": [0.3, 0.4]}),
    ]
    assert FoldScores.of(rows, "auc").folds["f1"].tolist() == [0.1, 0.4]


def test_a_fold_alone_or_beside_undefined_ones_chooses_its_own_epoch():
    assert FoldScores.of(epochs([0.5], [0.7], [0.6]), "auc").mean["auc"] == 0.7
    beside = FoldScores.of(epochs([0.5, NAN], [0.7, NAN]), "auc")
    assert beside.folds["auc"][0] == 0.7
    assert beside.mean["auc"] == 0.7


def test_without_a_defined_value_it_is_the_first_epoch():
    scores = FoldScores.of(epochs([NAN, NAN], [NAN, NAN]), "auc")
    assert [epoch.epoch for epoch in scores.epochs] == [1, 1]
    assert np.isnan(scores.mean["auc"])


def test_diverged_epochs_are_passed_over():
    diverging = epochs([0.5, 0.5], [0.9, 0.9], diverged=(2,))
    assert FoldScores.of(diverging, "auc").mean["auc"] == 0.5
    scores = FoldScores.of(epochs([0.9, 0.9], diverged=(1,)), "auc")
    assert scores.diverged
    assert np.isnan(scores.mean["auc"])


def test_choosing_among_epochs_that_differ_by_chance_alone_adds_nothing_to_the_score():
    drawn = np.random.default_rng(0).normal(0.8, 0.05, (400, 20, 5))
    trials = [epochs(*values.tolist()) for values in drawn]
    assert np.mean([FoldScores.of(trial, "auc").mean["auc"] for trial in trials]) == pytest.approx(
        0.8, abs=0.004
    )
    assert drawn.mean(axis=2).max(axis=1).mean() > 0.83  # what the epoch best for all folds would make of it


def test_folds_of_another_partition_have_no_say_as_they_hold_the_same_patients():
    rows = epochs([0.6, 0.7, 0.1, 0.9], [0.5, 0.8, 0.9, 0.1])
    # Each partition has two folds, so each fold's epoch is the one that its partner likes best.
    assert FoldScores.of(rows, "auc", rounds=2).folds["auc"].tolist() == [0.5, 0.7, 0.1, 0.1]
