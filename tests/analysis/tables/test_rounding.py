import pandas as pd
import pytest

from analysis.tables.rounding import decimals_between, decimals_for, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (3, "3"), (0.0, "0.0000"), (1e-4, "1.00e-04"), (True, "true")],
)
def test_values_are_shown_as_people_read_them(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("error", "decimals"), [(0.032, 3), (0.32, 2), (0.0032, 4), (3.2, 1), (float("nan"), 4)]
)
def test_decimals_end_with_the_second_digit_of_the_error(error, decimals):
    assert decimals_for(error) == decimals


def test_intervals_without_width_do_not_decide_the_decimals():
    assert decimals_between(pd.Series([0.70, 0.5, 0.5]), pd.Series([0.74, 0.5, 0.5])) == 3
