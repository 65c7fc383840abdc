"""The patient of each file from its path, by a regular expression of the user's."""

import re
from dataclasses import replace

from ichtune.data.sources.source import Source
from ichtune.errors import InputError


def with_patients(source: Source, pattern: str | None) -> Source:
    """Return the source with patients taken from its files' paths (relative, with forward slashes).

    The patient is the expression's first group, or the whole match if it has none.

    Raises:
        InputError: it isn't a regular expression, doesn't match a file, or the table names the patients.
    """
    if pattern is None:
        return source
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--patient {pattern!r} is not a regular expression: {error}") from None
    entries = source.entries
    if (entries["patient_id"] != "").any():
        raise InputError(f"{source.root}: the table names the patients already; omit --patient")
    found = {file: _patient(expression, file) for file in entries["file"].unique()}
    if missing := [file for file, patient in found.items() if not patient]:
        raise InputError(
            f"--patient {pattern!r} finds no patient in {len(missing):,} of {len(found):,} files, such as "
            f"{missing[0]!r}; change it so that it matches every file"
        )
    patients = entries["file"].map(found)
    first = entries["file"].iloc[0]
    note = f"Patients come from the files' paths: {patients.nunique():,} of them ({first} is of {found[first]!r})."
    return replace(source, entries=entries.assign(patient_id=patients), notes=(*source.notes, note))


def _patient(expression: re.Pattern[str], file: str) -> str:
    match = expression.search(file)
    if match is None:
        return ""
    return (match[1] if expression.groups else match[0]) or ""
