"""Progress in a log, and of trainings in other processes."""

from io import StringIO

import pytest
from rich.console import Console

from ichtune import progress
from ichtune.cluster.board import sum_up


def test_a_second_piece_of_work_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    text = StringIO()
    with progress.progress("retraining", "images", Console(file=text, width=200)) as report:
        for done, total in ((0, 100), (100, 100), (0, 50), (20, 50)):
            report(done, total, "")
    assert text.getvalue().splitlines() == [
        "retraining: 0 of 100",
        "retraining: 100 of 100, 10 images/s",
        "retraining: 0 of 50",
        "retraining: 20 of 50, 2 images/s, 15 s left",
    ]


def test_trainings_that_have_not_begun_count_as_the_others():
    told = []
    notes = {"fold0": (100, 100, "2 of 2 epochs"), "fold1": (40, 100, "1 of 2 epochs")}
    sum_up(notes, ["fold1", "fold2"], 3, lambda *given: told.append(given))
    assert told == [(140, 300, "fold1: 1 of 2 epochs")]
