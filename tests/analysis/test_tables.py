import json

import numpy as np
import pandas as pd
import pytest

from analysis.tables import shown, write_tables

TABLE = pd.DataFrame(
    {
        "rank": [1, 2],
        "trial": ["a_b|c", "50% <d>"],
        "score": [0.76543, np.nan],
        "lr": pd.Series([1e-5, None], dtype=object),
    }
)
BELOW = pd.DataFrame({"trial": ["always negative"], "score": [0.5]})


@pytest.fixture
def written(tmp_path) -> dict[str, str]:
    files = write_tables(tmp_path, "ranked", TABLE, below=BELOW, caption="A & B")
    return {file.suffix: file.read_text() for file in files}


def test_whole_numbers_stay_whole_and_small_ones_are_not_rounded_away(written):
    assert "| 1 | a_b\\|c | 0.7654 | 1.00e-05 |" in written[".md"]
    assert "|  | always negative | 0.5000 |  |" in written[".md"]


def test_programs_get_the_full_precision(written):
    assert "1,a_b|c,0.76543,1e-05" in written[".csv"]
    content = json.loads(written[".json"])
    assert content["trials"][0] == {"rank": 1, "trial": "a_b|c", "score": 0.76543, "lr": 1e-05}
    assert content["trials"][1]["score"] is None
    assert content["no_skill"] == [{"trial": "always negative", "score": 0.5}]


def test_what_latex_and_html_take_for_their_own_is_escaped(written):
    assert r"a\_b|c" in written[".tex"]
    assert r"50\% <d>" in written[".tex"]
    assert r"\caption{A \& B}" in written[".tex"]
    assert "<td>50% &lt;d&gt;</td>" in written[".html"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (3, "3"), (0.0, "0.0000"), (1e-4, "1.00e-04"), (True, "true")],
)
def test_values_are_shown_as_people_read_them(value, text):
    assert shown(value) == text
