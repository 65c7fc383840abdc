"""The best epoch, and patience with the ones after it."""

import pytest

from ichtune.runs.best_epoch import BestEpoch

NAN = float("nan")


def test_more_is_better_for_the_auc_and_less_for_a_loss():
    auc, loss = BestEpoch("auc", None), BestEpoch("loss", None)
    assert [auc.update(epoch, value) for epoch, value in enumerate([0.6, 0.5, 0.7], 1)] == [True, False, True]
    assert [loss.update(epoch, value) for epoch, value in enumerate([0.6, 0.5, 0.7], 1)] == [
        True,
        True,
        False,
    ]
    assert (auc.epoch, auc.value) == (3, 0.7)
    assert (loss.epoch, loss.value) == (2, 0.5)


def test_an_equal_value_is_not_better():
    best = BestEpoch("auc", None)
    assert [best.update(epoch, 0.5) for epoch in (1, 2)] == [True, False]


@pytest.mark.parametrize("metric", ["auc", "loss"])
def test_nan_is_never_better(metric):
    best = BestEpoch(metric, None)
    assert [best.update(epoch, value) for epoch, value in enumerate([NAN, 0.5, NAN], 1)] == [
        False,
        True,
        False,
    ]
    assert best.epoch == 2


def test_patience_ends_after_so_many_epochs_without_a_better_one():
    best = BestEpoch("auc", 2)
    ended = []
    for epoch, value in enumerate([0.5, 0.4, 0.6, 0.6, NAN], 1):
        best.update(epoch, value)
        ended.append(best.out_of_patience)
    assert ended == [False, False, False, False, True]


def test_without_patience_it_never_ends():
    best = BestEpoch("auc", None)
    for epoch in range(1, 100):
        best.update(epoch, 0.5)
    assert not best.out_of_patience


def test_it_goes_on_from_its_state():
    best, resumed = BestEpoch("auc", 2), BestEpoch("auc", 2)
    best.update(1, 0.5)
    best.update(2, 0.4)
    resumed.load_state_dict(best.state_dict())
    resumed.update(3, 0.5)
    assert resumed.epoch == 1
    assert resumed.out_of_patience
