"""The meaning of a label table's columns: which image, which patient, which of the six labels."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ichtune.labels import ANY, SUBTYPES

FILE_COLUMNS: Final = ("file", "filename", "filepath", "path", "image", "imagename", "imagepath", "imagefile")
ID_COLUMNS: Final = ("id", "imageid", "sliceid", "sopinstanceuid", "slice", "name")
PATIENT_COLUMNS: Final = (
    *("patientid", "patient", "patientnumber", "subject", "subjectid", "case", "caseid"),
)
STUDY_COLUMNS: Final = ("studyinstanceuid", "studyid", "study")
SERIES_COLUMNS: Final = ("seriesinstanceuid", "seriesid", "series")

# Abbreviations as in CQ500 and the literature. ICH alone means any intracranial hemorrhage; an intracerebral
# one lies within the brain tissue.
_SUBTYPE_NAMES: Final = {
    "epidural": ("epidural", "extradural", "edh", "eph"),
    "intraparenchymal": ("intraparenchymal", "parenchymal", "intracerebral", "iph", "ichintraparenchymal"),
    "intraventricular": ("intraventricular", "ventricular", "ivh"),
    "subarachnoid": ("subarachnoid", "sah"),
    "subdural": ("subdural", "sdh"),
}
_ANY_NAMES: Final = ("any", "anytype", "ich", "intracranial", "hemorrhagic", "haemorrhagic")
_NONE_NAMES: Final = ("normal", "control", "healthy", "none")
# Ambiguous names: the label of whatever the table is about, if no other column has it.
GENERIC: Final = ("label", "target", "class")
# Columns whose cells may be the names of classes; the generic ones first.
CLASS_COLUMNS: Final = (
    *(*GENERIC, "labels", "targets", "classes", "classname", "labelname", "diagnosis", "type", "category"),
    *("subtype", "hemorrhagetype", "haemorrhagetype", "bleedtype", "bleedingtype"),
)
_BLEEDING: Final = "hemorrhages?|haemorrhages?|hematomas?|haematomas?|bleeding|bleeds?"
_BLEEDING_AT_AN_END: Final = re.compile(rf"^(?:{_BLEEDING})|(?:{_BLEEDING})$")

_MEANING: Final = {
    **{name: label for label, names in _SUBTYPE_NAMES.items() for name in names},
    **dict.fromkeys(_ANY_NAMES, ANY),
}


def plain(name: str) -> str:
    """Return a column's name without variations in case, spaces, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", name).lower()


@dataclass(frozen=True)
class LabelColumn:
    """A column that holds a label, or (`negated`) its absence, such as `No_Hemorrhage`."""

    name: str
    label: str
    negated: bool = False


def label_of(name: str) -> LabelColumn | None:
    """Return the label that a `plain` column name stands for; None if it isn't a label."""
    if name in _NONE_NAMES:
        return LabelColumn(name, ANY, negated=True)
    if label := _meaning(name):
        return LabelColumn(name, label)
    for prefix in ("non", "no"):
        if name.startswith(prefix) and (label := _meaning(name.removeprefix(prefix))):
            return LabelColumn(name, label, negated=True)
    return None


def label_columns(names: Iterable[str]) -> list[LabelColumn]:
    """Return the label columns among these `plain` names, in order."""
    names = list(names)
    found = [column for name in names if (column := label_of(name))]
    if any(column.label == ANY for column in found):
        return found
    generic = next((name for name in GENERIC if name in names), None)
    return [*found, LabelColumn(generic, ANY)] if generic else found


def describe_columns(
    original: dict[str, str], labels: Iterable[LabelColumn], used: Iterable[str], *, complete: bool = False
) -> list[str]:
    """Return notes on columns that were read under another name, and on those that weren't understood.

    Args:
        original: the table's own names by `plain` name.
        labels: the columns that hold labels.
        used: the `plain` names of other columns that were read.
        complete: whether these have all labels, so that none is missing.
    """
    labels = list(labels)
    absent = set(SUBTYPES) - {column.label for column in labels}
    other = [
        f"{original[column.name]} as {'the opposite of ' if column.negated else ''}{column.label}"
        for column in labels
        if column.name != column.label
    ]
    ignored = [own for name, own in original.items() if name not in {*used, *(c.name for c in labels)}]
    notes = []
    if other:
        notes.append(f"Columns read under another name: {', '.join(other)}.")
    if 0 < len(absent) < len(SUBTYPES) and not complete:
        notes.append(
            f"No column for {', '.join(label for label in SUBTYPES if label in absent)}: missing values, not zeros."
        )
    if ignored:
        notes.append(f"Columns not understood, and not used: {', '.join(ignored)}.")
    return notes


def _meaning(name: str) -> str | None:
    if not name:  # such as the rest of a column "No", which counts rows
        return None
    if name in _MEANING:
        return _MEANING[name]
    rest = _BLEEDING_AT_AN_END.sub("", name)
    return ANY if not rest else _MEANING.get(rest) if rest != name else None
