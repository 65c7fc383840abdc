"""No name of a stranger is a formula, markup or a command in a table."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import load_workbook

from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.safe_console import printable
from ichtune.spreadsheet import csv_text

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", " =cmd|' /C calc'!A0", "\uff1d1+1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_text_is_no_formula_in_a_csv(formula: str):
    frame = pd.DataFrame({"id": [formula, "a"], "score": [-0.5, 1e-5], formula: ["-0.5", "+3e2"]})
    text = csv_text(frame)
    read = pd.read_csv(io.StringIO(text), dtype=str, skipinitialspace=False)
    assert read["id"].tolist() == [f"'{printable(formula)}", "a"]
    assert read.columns[2] == f"'{printable(formula)}"
    assert read["score"].tolist() == ["-0.5", "1e-05"]
    assert read.iloc[:, 2].tolist() == ["-0.5", "+3e2"]


def test_a_rejected_file_is_no_formula(rsna_folder, tmp_path: Path, ichtune):
    folder = rsna_folder()
    (folder / "stage_2_train" / "=1+1.dcm").write_bytes(b"no dicom")
    (folder / "stage_2_train.csv").write_text(
        (folder / "stage_2_train.csv").read_text()
        + "".join(f"=1+1_{kind},0\n" for kind in ("epidural", "intraparenchymal", "intraventricular"))
        + "".join(f"=1+1_{kind},0\n" for kind in ("subarachnoid", "subdural", "any"))
    )
    code, _, errors = ichtune("prepare", folder, tmp_path / "store", "--size", 32, "--folds", 3)
    assert code == 0, errors
    rejected = pd.read_csv(tmp_path / "store" / "rejected.csv")
    assert all(name[0] not in "=+-@" for name in rejected["file"])
    assert any("=1+1" in name for name in rejected["file"])


def hostile_table(text: str) -> Table:
    rows = pd.DataFrame({"rank": [1], "trial": [text], "score": [-0.5], text: [text]})
    population = pd.DataFrame({"label": [text], "train_prevalence": [0.25]})
    return Table("ranked", text, rows, pd.DataFrame({"trial": [text]}), population, notes=[text])


@pytest.mark.parametrize("text", ["=HYPERLINK(0)", "a\x00b\x0bc", "x" * 40_000])
def test_excel_gets_texts_whatever_they_hold(tmp_path: Path, text: str):
    book = load_workbook(next(f for f in write_table(tmp_path, hostile_table(text)) if f.suffix == ".xlsx"))
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert book["ranked"]["C2"].value == -0.5
    assert book["ranked"]["B2"].value == printable(text)[:32767]
    assert book["ranked"]["B2"].quotePrefix
    assert book["ranked"]["D1"].data_type == "s"


def test_markdown_and_html_get_no_markup(tmp_path: Path):
    text = "<img src=x onerror=alert(1)>\n\n# [a](javascript:b) ![p](http://x/y) `c` \\| d"
    files = {f.suffix: f.read_text() for f in write_table(tmp_path, hostile_table(text))[:5]}
    assert "<img" not in files[".html"]
    assert not re.search(r"(?<!\\)(<img|\[a|\[p|`c)|^#", files[".md"], re.MULTILINE)
    lines = [line for line in files[".md"].splitlines() if line.startswith("| 1 |")]
    assert [len(re.findall(r"(?<!\\)\|", line.replace(r"\\", ""))) for line in lines] == [5]


def test_latex_takes_every_character(tmp_path: Path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    text = (
        r"\input{/etc/passwd} \write18{id} % # $ & _ { } ~ ^ [x] *x "
        + 'é Å ą ß Δ 中 \u202e \x1b "`?`!`\n\n<>|'
    )
    tex = next(f for f in write_table(tmp_path, hostile_table(text)) if f.suffix == ".tex").read_text()
    starts = pd.DataFrame({"trial": ["[1cm", "*", "\\", "%", "&"]})
    more = Table("starts", "rows", starts, starts[:0], pd.DataFrame({"label": ["any"]}))
    tex += next(f for f in write_table(tmp_path, more) if f.suffix == ".tex").read_text()
    head = r"\documentclass{article}\usepackage{array,booktabs,graphicx,rotating}\begin{document}"
    (tmp_path / "paper.tex").write_text(head + tex + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"passwd" not in done.stdout
