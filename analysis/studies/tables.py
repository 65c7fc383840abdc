"""Published tables, each row beside its counterpart in a reproduction."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import pandas as pd

from analysis.statistics.cohort import Cohort
from analysis.studies.plan import Reproduction
from analysis.studies.run import TRUTH
from analysis.studies.study import Published, Row
from analysis.tables.rounding import with_intervals
from analysis.tables.table import Table
from ichtune.cross_validation import CrossValidation
from ichtune.json_text import read_json
from ichtune.prediction.score import score

PUBLISHED, HERE = "published", "here"
_SUBMISSION: Final = ".submission.csv"
_ENDS: Final = ("", "_low", "_high")


def tables(planned: Reproduction) -> list[Table]:
    """Every table of the study, as far as its steps are done: the published rows, and those found here."""
    store = planned.store
    cohort = Cohort(store, CrossValidation(store.info.folds))
    return [_table(planned, each, cohort) for each in planned.study.tables]


def _table(planned: Reproduction, published: Published, cohort: Cohort) -> Table:
    rows = list(_compared(planned, published) if published.rows else _found(planned, published))
    numbers = pd.DataFrame(rows)
    keys = [name for name in numbers.columns if name in ("row", "whose", *published.keys)]
    texts = numbers[keys].astype(str)
    for column in published.columns:
        texts[column] = [_text(*values) for values in numbers[[f"{column}{end}" for end in _ENDS]].to_numpy()]
    notes = [*published.notes, *_without_counterpart(published, rows)]
    if published.rows:
        notes.append(
            f"published: on {planned.study.data}; here: on {planned.store.path.name}, not to be compared"
        )
    return Table.in_texts(
        published.name, published.caption, numbers, texts, cohort.population, [*notes, *cohort.notes]
    )


def _compared(planned: Reproduction, published: Published) -> Iterator[dict[str, Any]]:
    """Two rows for each published one, then what predictors without skill score here."""
    for row in published.rows:
        if row.published:
            yield {"row": row.name, "whose": PUBLISHED} | _cells(published, row.published)
        found = _counterpart(planned, published, row)
        values = row.values or published.values
        yield {"row": row.name, "whose": HERE} | _read(published, values, found)
    for found in _content(planned, published.file).get("no_skill", []):
        name = found.get("change") or found.get("model") or found.get("trial") or "no skill"
        yield {"row": name, "whose": "no skill here"} | _read(published, published.values, found)


def _found(planned: Reproduction, published: Published) -> Iterator[dict[str, Any]]:
    """All rows of a step's table."""
    for found in _content(planned, published.file).get("rows", [{}]):
        keys = {key: found.get(key, "not run") for key in published.keys}
        yield keys | _read(published, published.values, found)


def _counterpart(planned: Reproduction, published: Published, row: Row) -> dict[str, Any]:
    file = row.file or published.file
    if file.endswith(_SUBMISSION):
        path = planned.path(file)
        found = score(path, planned.out / TRUTH) if path.is_file() else None
        return {} if found is None else {"weighted_log_loss": found.weighted_log_loss}
    for found in _content(planned, file).get("rows", []):
        if all(fnmatchcase(str(found.get(name)), planned.filled(one)) for name, one in row.where.items()):
            return found
    return {}


def _content(planned: Reproduction, file: str) -> dict[str, Any]:
    path = planned.path(file)
    return read_json(path) if path.suffix == ".json" and path.is_file() else {}


def _read(published: Published, values: Sequence[str], found: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{column}{end}": found.get(f"{name}{end}")
        for column, name in zip(published.columns, values, strict=True)
        for end in _ENDS
    }


def _cells(published: Published, values: Sequence[float | str | None]) -> dict[str, Any]:
    return {
        f"{column}{end}": None if end else value
        for column, value in zip(published.columns, values, strict=True)
        for end in _ENDS
    }


def _text(value: Any, low: Any, high: Any) -> str:
    """A number as it is published, or as many digits as its interval supports; a text as it is."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return "–"
    if low is None or pd.isna(low):
        return f"{value:.4g}"
    return with_intervals(pd.Series([value]), pd.Series([low]), pd.Series([high]))[0]


def _without_counterpart(published: Published, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield why rows have no figures here."""
    for row in published.rows:
        here = [each for each in rows if each["row"] == row.name and each["whose"] == HERE]
        if all(each[column] is None for each in here for column in published.columns):
            yield (
                f"{row.name}: not scored here; its step isn't done, or its setting had no effect, so that it is "
                "another row's recipe"
            )
