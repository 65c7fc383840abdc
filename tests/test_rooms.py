"""Calls between our own modules are counted, and those within one are not."""

import sys

import pandas as pd

from analysis.tables.rounding import decimals_between, rounded
from analysis.tables.table import Table
from benchmarks.rooms import Rooms

ROWS = pd.DataFrame({"score": [0.5, 0.25]})


def calls(work) -> int:
    rooms = Rooms()
    sys.setprofile(rooms)
    try:
        work()
    finally:
        sys.setprofile(None)
    return rooms.figures(5)["calls"]


def test_a_call_within_a_module_changes_no_room():
    assert calls(lambda: decimals_between(ROWS["score"], ROWS["score"] + 0.1)) == 0  # decimals_for is its own
    assert calls(lambda: rounded(ROWS)) == 0


def test_a_call_through_the_standard_library_joins_the_modules_at_its_ends():
    table = Table("ranked", "two", ROWS, ROWS.iloc[:0], ROWS)
    assert calls(lambda: table.human) == 1  # a cached property asks for `rounded`
