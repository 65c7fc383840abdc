"""What the cells of a label table mean: yes or no for one label, or the names of classes."""

import re
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.columns import label_of, plain
from ichtune.labels import ANY, LABELS, SUBTYPES

NOT_UNDERSTOOD: Final = -1
"""The value of a cell that means neither yes nor no."""
_TRUE: Final = {"true", "yes", "positive", "pos"}
_FALSE: Final = {"false", "no", "negative", "neg"}
_UNKNOWN: Final = {"", "nan", "na", "n/a", "null"}
_NONE: Final = "none"
_BETWEEN_NAMES: Final = re.compile(r"[;|+/,&]")
_WITH_DECIMAL_COMMA: Final = re.compile(r"\d+,\d+")
_SHOWN: Final = 12  # names that a note lists
_SHOWN_AS: Final = {ANY: "any of unknown subtype", _NONE: "none of the six"}


def label_values(text: pd.Series, *, decimal_comma: bool = False) -> pd.Series:
    """Return 0 and 1 as float32, NaN for an empty cell, -1 for anything else."""
    codes, words = pd.factorize(text)
    values = np.array([_label_value(word, decimal_comma) for word in words], np.float32)
    return pd.Series(values[codes], index=text.index)


def _label_value(word: str, decimal_comma: bool) -> float:
    word = word.strip().lower()
    if word in _UNKNOWN:
        return np.nan
    if word in _TRUE or word in _FALSE:
        return float(word in _TRUE)
    if decimal_comma and _WITH_DECIMAL_COMMA.fullmatch(word):
        word = word.replace(",", ".")
    try:
        number = float(word)
    except ValueError:
        return NOT_UNDERSTOOD
    return number if number in (0, 1) else NOT_UNDERSTOOD


def class_values(text: pd.Series) -> pd.DataFrame:
    """Return the six labels of cells with names of classes, such as `Normal` or `SDH + SAH`; -1 if not understood.

    A named subtype is 1 and the others 0; a bleeding of no named subtype leaves the subtypes unknown. If no cell names
    a subtype, the labels are binary, and the subtypes are unknown throughout.
    """
    codes, words = pd.factorize(text)
    six = np.array([_six(word) for word in words], np.float32).reshape(-1, len(LABELS))
    subtypes = [LABELS.index(label) for label in SUBTYPES]
    if not (six[:, subtypes] == 1).any():
        six[:, subtypes] = np.where(six[:, subtypes] == NOT_UNDERSTOOD, NOT_UNDERSTOOD, np.nan)
    return pd.DataFrame(six[codes], index=text.index, columns=list(LABELS))


def names_classes(text: pd.Series, *, throughout: bool) -> bool:
    """Whether cells name classes, at least one of them or (`throughout`) all that aren't empty."""
    words = [word for word in pd.unique(text) if not _is_unknown(word)]
    named = any(_named(part) for word in words for part in _parts(word) if not _yes_or_no(part))
    return named and not (throughout and any(_six(word)[0] == NOT_UNDERSTOOD for word in words))


def only_yes_or_no(text: pd.Series) -> bool:
    """Whether every cell means yes or no, or is empty."""
    return bool((label_values(text) != NOT_UNDERSTOOD).all())


def describe_class_names(column: str, text: pd.Series) -> str:
    """Return a note on what the names in a column of class names were read as."""
    parts = dict.fromkeys(part for word in pd.unique(text) if not _is_unknown(word) for part in _parts(word))
    meanings = {part: _named(part) for part in parts}
    understood = [f"{part!r} as {_SHOWN_AS.get(label, label)}" for part, label in meanings.items() if label]
    more = f" and {len(understood) - _SHOWN} more" if len(understood) > _SHOWN else ""
    return f"Names in the column {column} were read as labels: {', '.join(understood[:_SHOWN])}{more}."


def _six(cell: str) -> tuple[float, ...]:
    if _is_unknown(cell):
        return (np.nan,) * len(LABELS)
    named = {_named(part) for part in _parts(cell)}
    if None in named or not named or (_NONE in named and len(named) > 1):
        return (NOT_UNDERSTOOD,) * len(LABELS)
    if named == {ANY}:
        return tuple(1.0 if label == ANY else np.nan for label in LABELS)
    positive = set() if named == {_NONE} else named | {ANY}
    return tuple(float(label in positive) for label in LABELS)


def _named(part: str) -> str | None:
    """Return the label that a name stands for, `none` for normal, None if it isn't understood."""
    if (answer := _yes_or_no(part)) is not None:
        return ANY if answer else _NONE
    column = label_of(plain(part))
    if column is None or (column.negated and column.label != ANY):
        return None
    return _NONE if column.negated else column.label


def _yes_or_no(part: str) -> bool | None:
    word = part.lower()
    return word in _TRUE if word in _TRUE | _FALSE else None


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in _BETWEEN_NAMES.split(cell) if part.strip()]


def _is_unknown(cell: str) -> bool:
    return cell.strip().lower() in _UNKNOWN
