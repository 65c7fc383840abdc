"""ASHA on the results of trials."""

from types import SimpleNamespace
from typing import Any

from ichtune.search.scheduler import Halving


def test_a_trial_is_compared_at_a_rung_whose_result_was_lost_with_its_machine():
    asha = Halving(metric="objective", mode="max", max_epochs=9, grace=2, reduction=2)
    better, worse = trial("better"), trial("worse")
    for each in (better, worse):
        asha.on_trial_add(None, each)
    asha.on_trial_result(None, better, {"epoch": 2, "objective": 0.7})
    # After three epochs it is ahead of what the other was after two, when it was behind.
    late = {"epoch": 3, "objective": 0.8, "earlier": [0.5, 0.6]}
    assert asha.on_trial_result(None, worse, late) == asha.STOP
    assert asha.has_stopped("worse")


def trial(name: str) -> Any:
    return SimpleNamespace(trial_id=name)
