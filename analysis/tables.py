"""Tables for people and for programs: rounded in Markdown, LaTeX, HTML and on the screen, whole in CSV and JSON."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ichtune.files import replacing

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    character: f"\\{character}" for character in "&%$#_{}"
}


def shown(value: Any) -> str:
    """A value as people read it: four decimals, or powers of ten for what is smaller; nothing for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"
    return str(value)


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The table as texts; whole numbers stay whole."""
    return pd.DataFrame({name: [shown(value) for value in table[name]] for name in table.columns}, dtype=str)


def write_tables(
    folder: Path, name: str, table: pd.DataFrame, *, below: pd.DataFrame, caption: str
) -> list[Path]:
    """Write `name`.csv, .md, .tex, .html and .json; `below` holds rows that stand under the table (no-skill).

    Returns the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # As objects, so that whole numbers stay whole beside the cells that are empty below the table.
    both = pd.concat([table.astype(object), below.astype(object)], ignore_index=True)[list(table.columns)]
    human = rounded(both)
    texts = {
        "csv": both.to_csv(index=False),
        "json": _json(table, below),
        "md": _markdown(human, caption),
        "tex": _latex(human, len(table), caption),
        "html": _html(human, len(table), caption),
    }
    files = []
    for suffix, text in texts.items():
        with replacing(folder / f"{name}.{suffix}") as file:
            file.write_text(text)
        files.append(folder / f"{name}.{suffix}")
    return files


def _json(table: pd.DataFrame, below: pd.DataFrame) -> str:
    def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
        return json.loads(str(frame.to_json(orient="records", double_precision=15)))

    return json.dumps({"trials": rows(table), "no_skill": rows(below)}, indent=2) + "\n"


def _markdown(table: pd.DataFrame, caption: str) -> str:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [row(list(table.columns)), row(["---"] * len(table.columns))]
    lines += [row(cells) for cells in table.to_numpy().tolist()]
    return f"{caption}\n\n" + "\n".join(lines) + "\n"


def _latex(table: pd.DataFrame, ranked: int, caption: str) -> str:
    def row(cells: list[str]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"

    body = [row(cells) for cells in table.to_numpy().tolist()]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,graphicx}",
            r"\begin{table}",
            rf"\caption{{{''.join(_LATEX.get(c, c) for c in caption)}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
            r"\toprule",
            row(list(table.columns)),
            r"\midrule",
            *body[:ranked],
            r"\midrule",
            *body[ranked:],
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _html(table: pd.DataFrame, ranked: int, caption: str) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    rows = table.to_numpy().tolist()
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{html.escape(caption)}</title><style>",
            "body{font:15px system-ui,sans-serif;margin:2rem;color:#1a1a1a}",
            "table{border-collapse:collapse;font-variant-numeric:tabular-nums}",
            "caption{text-align:left;padding:.5rem 0;font-weight:600}",
            "th,td{padding:.3rem .7rem;text-align:left;white-space:nowrap;border-bottom:1px solid #ddd}",
            "thead th{border-bottom:2px solid #333}tfoot td{color:#666;font-style:italic}",
            "</style></head><body><table>",
            f"<caption>{html.escape(caption)}</caption>",
            f"<thead>{row(list(table.columns), 'th')}</thead><tbody>",
            *(row(cells, "td") for cells in rows[:ranked]),
            "</tbody><tfoot>",
            *(row(cells, "td") for cells in rows[ranked:]),
            "</tfoot></table></body></html>",
            "",
        ]
    )
