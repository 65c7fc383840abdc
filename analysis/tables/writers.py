"""Writes tables: rounded for people as Markdown, LaTeX and HTML; in full precision as CSV, JSON and Excel."""

import html
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from analysis.tables.rounding import rounded
from analysis.tables.table import Table
from ichtune.files import replacing
from ichtune.safe_console import printable_rows
from ichtune.spreadsheet import csv_text

_LATEX = (
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {character: f"\\{character}" for character in "&%$#_{}"}
    | {"±": r"$\pm$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"[": "{[}", "]": "{]}", "*": "{*}"}  # `\\\\` would take the start of a row for its argument
)

_OGONEK = "\u0328"  # the one accent that the usual fonts lack

LONG = 40
"""Cells with more characters wrap over several lines."""
WIDE = 9
"""Tables with at least this many columns are printed sideways."""
PRINTED = 30
"""Rows in the LaTeX table: what fits on a page."""
_PARAGRAPH = r">{\raggedright\arraybackslash}p{7cm}"


def write_table(folder: Path, table: Table) -> list[Path]:
    """Write the table's .csv, .md, .tex, .html, .json and .xlsx; returns the files.

    All but the CSV include the population and the notes; next to the CSV, the population has its own file,
    population.csv.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "csv": csv_text(table.whole),
        "json": _json(table),
        "md": _markdown(table),
        "tex": _latex(table),
        "html": _html(table),
    }
    for suffix, text in texts.items():
        with replacing(folder / f"{table.name}.{suffix}") as file:
            file.write_text(text, encoding="utf-8")
    with replacing(folder / "population.csv") as file:
        file.write_text(csv_text(table.population), encoding="utf-8")
    with replacing(folder / f"{table.name}.xlsx") as file:
        _workbook(table).save(file)
    return [folder / f"{table.name}.{suffix}" for suffix in (*texts, "xlsx")]


def _json(table: Table) -> str:
    def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
        return json.loads(str(frame.to_json(orient="records", double_precision=15)))

    content = {
        "caption": table.caption,
        "rows": rows(table.rows),
        "no_skill": rows(table.below),
        "population": rows(table.population),
        "notes": list(table.notes),
    }
    return json.dumps(content, indent=2) + "\n"


def _markdown(table: Table) -> str:
    caption, *notes = map(markdown_text, (table.caption, *table.notes))
    grids = markdown_grid(table.human), markdown_grid(rounded(table.population))
    return "\n\n".join([caption, grids[0], *notes, grids[1]]) + "\n"


def markdown_grid(frame: pd.DataFrame) -> str:
    """A table of texts as a Markdown table."""
    heading, *rows = one_lines([list(frame.columns), *frame.to_numpy().tolist()])
    cells = [map(_md, heading), ["---"] * len(heading), *(map(_md, row) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def markdown_text(text: str) -> str:
    """A text as one line of Markdown, which shows it as it is."""
    return _md(one_lines([[text]])[0][0])


def _md(text: str) -> str:
    """The text with characters escaped that Markdown would take for HTML, links, code, or the end of a cell."""
    return re.sub(r"([\\`*<\[\]|])", r"\\\1", text)


def _latex(table: Table) -> str:
    # A page is too narrow for many columns, so rows of wide tables take two lines.
    wide = len(table.human.columns) >= WIDE
    kind, most = ("sidewaystable", PRINTED // 2) if wide else ("table", PRINTED)
    count = len(table.rows)
    printed = table.human.drop(index=range(most, count))
    cut = [f"the first {most} of {count} rows; {table.name}.csv has all"] if count > most else []
    caption, *notes = map(_tex, *one_lines([[table.caption, *cut, *table.notes]]))
    lines = [
        r"% needs \usepackage{array,booktabs,graphicx,rotating}",
        rf"\begin{{{kind}}}",
        rf"\caption{{{caption}}}",
        *_latex_grid(printed.loc[:, (printed != "").any()], min(most, count), r"\linewidth"),
        r"\par\medskip\footnotesize",
        *(rf"{note}\par" for note in notes),
        r"\medskip",
        *_latex_grid(
            rounded(table.population), len(table.population), r"0.6\linewidth" if wide else r"\linewidth"
        ),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _latex_grid(frame: pd.DataFrame, ranked: int, width: str) -> list[str]:
    cells = one_lines([list(frame.columns), *frame.to_numpy().tolist()])
    heading, *rows = [" & ".join(map(_tex, row)) + r" \\" for row in cells]
    columns = (_PARAGRAPH if frame[name].str.len().max() > LONG else "l" for name in frame.columns)
    return [
        rf"\resizebox{{{width}}}{{!}}{{%",
        rf"\begin{{tabular}}{{{''.join(columns)}}}",
        r"\toprule",
        heading,
        r"\midrule",
        *rows[:ranked],
        *([r"\midrule"] if len(rows) > ranked else []),
        *rows[ranked:],
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def _tex(text: str) -> str:
    return "".join(map(_tex_character, unicodedata.normalize("NFC", text)))


def _tex_character(character: str) -> str:
    """The character for pdflatex; as its code if the fonts of a plain document lack it."""
    base, *accents = unicodedata.normalize("NFD", character)
    accented = character <= "\u017f" and base.isascii() and accents and accents != [_OGONEK]
    known = character.isascii() or accented
    return _LATEX.get(character, character if known else f"U+{ord(character):04X}")


def one_lines(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Rows of texts, each text on one line, with control and invisible characters shown as codes."""
    return printable_rows([[" ".join(text.split()) for text in row] for row in rows])


def html_grid(frame: pd.DataFrame, caption: str = "", *, ranked: int | None = None) -> str:
    """A table of texts as escaped HTML; rows after the first `ranked` go in its foot."""

    def row(cells: list[str], tag: str) -> str:
        kinds = (f'{tag} class="long"' if len(cell) > LONG else tag for cell in cells)
        filled = (f"<{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    rows = [row(cells, "td") for cells in frame.to_numpy().tolist()]
    ranked = len(rows) if ranked is None else ranked
    return "\n".join(
        [
            f"<table><caption>{html.escape(caption)}</caption>",
            f"<thead>{row(list(frame.columns), 'th')}</thead><tbody>",
            *rows[:ranked],
            "</tbody><tfoot>",
            *rows[ranked:],
            "</tfoot></table>",
        ]
    )


def _html(table: Table) -> str:
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{html.escape(table.caption)}</title><style>",
            "body{font:15px system-ui,sans-serif;margin:2rem;color:#1a1a1a}",
            "table{border-collapse:collapse;font-variant-numeric:tabular-nums}",
            "caption{text-align:left;padding:.5rem 0;font-weight:600}",
            "th,td{padding:.3rem .7rem;text-align:left;white-space:nowrap;border-bottom:1px solid #ddd}",
            ".long{white-space:normal;min-width:22rem}",
            "thead th{border-bottom:2px solid #333}tfoot td{color:#666;font-style:italic}",
            "</style></head><body>",
            html_grid(table.human, table.caption, ranked=len(table.rows)),
            *(f"<p>{html.escape(note)}</p>" for note in table.notes),
            html_grid(rounded(table.population), "The slices and patients behind the scores"),
            "</body></html>",
            "",
        ]
    )


def _workbook(table: Table) -> Workbook:
    book = Workbook()
    book.remove(book.worksheets[0])
    _fill(book.create_sheet(table.name[:31]), table.whole)
    _fill(book.create_sheet("population"), table.population)
    _fill(book.create_sheet("notes"), pd.DataFrame({"notes": [table.caption, *table.notes]}))
    return book


def _fill(sheet: Worksheet, frame: pd.DataFrame) -> None:
    rows = printable_rows([list(frame.columns), *frame.astype(object).to_numpy().tolist()])
    for row, values in enumerate(rows, 1):
        for column, value in enumerate(values, 1):
            _write(sheet.cell(row, column), value)
    for heading in sheet[1]:
        heading.font = Font(bold=True)
    sheet.freeze_panes = "A2"


def _write(cell: Any, value: Any) -> None:
    """Set a cell to a number, a boolean, or a text, which never becomes a formula."""
    if isinstance(value, str):
        cell.value, cell.data_type, cell.quotePrefix = value, "s", True
    elif (
        value is not None
        and value is not pd.NA
        and not (isinstance(value, float) and not math.isfinite(value))
    ):
        cell.value = value
