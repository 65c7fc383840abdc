import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from analysis.tables.table import Table
from analysis.tables.writers import write_table

TABLE = pd.DataFrame(
    {
        "rank": [1, 2],
        "trial": ["a_b|c", "50% <d>"],
        "score": [0.76543, np.nan],
        "lr": pd.Series([1e-5, None], dtype=object),
    }
)
BELOW = pd.DataFrame({"trial": ["always negative"], "score": [0.5]})


POPULATION = pd.DataFrame({"label": ["any"], "train_prevalence": [0.25]})


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    made = Table("ranked", "A & B", TABLE, BELOW, POPULATION, notes=["50 % = <luck>"])
    return {file.suffix: file for file in write_table(tmp_path, made)}


@pytest.fixture
def written(files) -> dict[str, str]:
    return {suffix: file.read_text() for suffix, file in files.items() if suffix != ".xlsx"}


def test_whole_numbers_stay_whole_and_small_ones_are_not_rounded_away(written):
    assert "| 1 | a_b\\|c | 0.7654 | 1.00e-05 |" in written[".md"]
    assert "|  | always negative | 0.5000 |  |" in written[".md"]


def test_programs_get_the_full_precision(written):
    assert "1,a_b|c,0.76543,1e-05" in written[".csv"]
    content = json.loads(written[".json"])
    assert content["rows"][0] == {"rank": 1, "trial": "a_b|c", "score": 0.76543, "lr": 1e-05}
    assert content["rows"][1]["score"] is None
    assert content["no_skill"] == [{"trial": "always negative", "score": 0.5}]


def test_what_latex_and_html_take_for_their_own_is_escaped(written):
    assert r"a\_b\textbar{}c" in written[".tex"]
    assert r"50\% \textless{}d\textgreater{}" in written[".tex"]
    assert r"\caption{A \& B}" in written[".tex"]
    assert "<td>50% &lt;d&gt;</td>" in written[".html"]


def test_excel_gets_the_full_precision_and_no_formula(tmp_path):
    made = Table("ranked", "=1+1", pd.DataFrame({"trial": ["=1+1"], "score": [0.76543]}), BELOW, POPULATION)
    book = load_workbook(next(f for f in write_table(tmp_path, made) if f.suffix == ".xlsx"))
    assert book.sheetnames == ["ranked", "population", "notes"]
    assert [cell.value for cell in book["ranked"][2]] == ["=1+1", 0.76543]
    assert {cell.data_type for row in book["ranked"] for cell in row} <= {"s", "n"}


@pytest.mark.parametrize("suffix", [".json", ".md", ".tex", ".html"])
def test_population_and_notes_stand_in_every_table(written, suffix):
    assert "prevalence" in written[suffix]
    assert "luck" in written[suffix]


def test_the_csv_has_the_population_in_a_file_of_its_own(files):
    pd.testing.assert_frame_equal(pd.read_csv(files[".csv"].parent / "population.csv"), POPULATION)


def test_latex_takes_the_table(files, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    before = r"\documentclass{article}\usepackage{array,booktabs,graphicx,rotating}\begin{document}"
    text = before + files[".tex"].read_text() + r"\end{document}"
    (tmp_path / "paper.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_gets_the_rows_that_a_page_holds_and_says_so(tmp_path):
    long = pd.DataFrame({"rank": range(1, 61), "trial": [f"trial{n}" for n in range(1, 61)], "note": ""})
    made = Table("ranked", "sixty", long, BELOW[["trial"]], POPULATION)
    text = next(f for f in write_table(tmp_path, made) if f.suffix == ".tex").read_text()
    assert "30 & trial30" in text
    assert "31 & trial31" not in text
    assert "always negative" in text
    assert "the first 30 of 60 rows" in text
    assert "& note" not in text
