"""Matching names in a label table to files: exactly, or by increasingly loose readings, but never by guessing."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ichtune.data.name_fits import Claim, Step, claims_of, of_same_base_name, without_suffix


def _as_numbers(path: str) -> str:
    """Return a path without its suffix, with whole numbers among its components in one form."""
    return "/".join(map(_as_number, without_suffix(path).split("/")))


def _as_number(part: str) -> str:
    whole, _, decimals = part.partition(".")
    is_whole = whole.isdecimal() and whole.isascii() and not decimals.strip("0")
    return (whole.lstrip("0") or "0") if is_whole else part


AS_WRITTEN = (Step.EXACT, Step.SUFFIX)
_READINGS: dict[Step, Callable[[str], str]] = {
    Step.EXACT: lambda path: path,
    Step.CASE: str.casefold,
    Step.UNICODE: lambda path: unicodedata.normalize("NFC", path),
    Step.BLANKS: lambda path: "".join(path.split()),
    Step.NUMBER: _as_numbers,
}
"""What each step does to both sides, in addition to the steps before it."""


@dataclass
class Matches:
    """The files matched to a table's names, and why other names have none."""

    files: dict[str, str] = field(default_factory=dict)
    """The file of each matched name."""
    steps: dict[str, Step] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    """Why names that fit a file weren't matched, by that file or (if it has another's labels) by the name."""
    undecided: set[str] = field(default_factory=set)
    """Names that fit a file but weren't matched."""
    copies: set[str] = field(default_factory=set)
    """Files left out because another file of the same name has the same bytes."""

    def note(self, table: str, usual: Iterable[Step] = ()) -> list[str]:
        """Return notes on steps that were needed apart from the `usual` ones, each with an example."""
        examples: dict[Step, str] = {}
        counts: dict[Step, int] = defaultdict(int)
        for name, step in self.steps.items():
            counts[step] += 1
            examples.setdefault(step, f"{name} is {self.files[name]}")
        loose = [step for step in Step if step in counts and step not in (Step.EXACT, *usual)]
        notes = []
        if loose:
            parts = [
                f"{counts[step]:,} name{'s' if counts[step] > 1 else ''} {step} ({examples[step]})"
                for step in loose
            ]
            notes.append(f"In {table}, files were found for {', '.join(parts)}.")
        if self.copies:
            notes.append(
                f"Exact copies of another file of the same name: {len(self.copies):,} (the first: "
                f"{min(self.copies)}); each slice counts once."
            )
        return notes


def match(
    names: Iterable[str],
    files: list[str],
    *,
    same_bytes: Callable[[list[str]], bool],
    uids: Callable[[list[str]], dict[str, str]],
) -> Matches:
    """Find each name's file; a name that fits several files, or a file that fits several names, stays unmatched.

    Args:
        names: from the table, unique and `tidy`.
        files: relative paths with forward slashes, in an order that doesn't depend on the disk.
        same_bytes: whether files are copies of one another.
        uids: returns the SOPInstanceUIDs of files by file; called last, and only for files without a name.
    """
    matches, left = Matches(), list(names)
    read_names, read_files = dict(zip(left, left, strict=True)), files
    depths: list[int] = []
    for step, reading in _READINGS.items():
        before = (read_names, read_files)
        read_names = {name: reading(read_names[name]) for name in left}
        read_files = list(map(reading, read_files))
        if step is Step.EXACT or before != (read_names, read_files):
            start_known = any("/" in name for name, how in matches.steps.items() if how in AS_WRITTEN)
            candidates, folder = of_same_base_name(read_names, files, read_files)
            claims, depths = claims_of(candidates, folder, step, depths, start_known)
            _take(claims, matches, same_bytes)
            left = [name for name in left if name not in matches.files and name not in matches.undecided]
        if not left:
            return matches
    _take(_claims_by_uid(left, files, matches, uids), matches, same_bytes)
    return matches


def tidy(name: str) -> str:
    """Return a name without surrounding blanks, with forward slashes, and without `./` and double slashes."""
    path = re.sub(r"(?<!:)/{2,}", "/", name.strip().replace("\\", "/"))
    return re.sub(r"^(\./)+", "", path)


def _claims_by_uid(
    names: list[str], files: list[str], matches: Matches, uids: Callable[[list[str]], dict[str, str]]
) -> list[Claim]:
    used = {*matches.files.values(), *matches.unclear, *matches.copies}
    by_uid = defaultdict(list)
    for file, uid in uids([file for file in files if file not in used]).items():
        by_uid[uid].append(file)
    return [Claim(name, by_uid[name], Step.UID) for name in names if name and name in by_uid]


def _take(claims: list[Claim], matches: Matches, same_bytes: Callable[[list[str]], bool]) -> None:
    """Match the claims that are unambiguous both ways, strictest first; record both sides of the others."""
    owners = {file: name for name, file in matches.files.items()}
    by_step: dict[Step, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_step[claim.step].append(claim)
    for step in Step:
        claimed: dict[str, list[str]] = defaultdict(list)
        for claim in by_step[step]:
            if claim.doubt or (len(claim.files) > 1 and not same_bytes(claim.files)):
                _refuse(claim, owners, matches)
                continue
            file = claim.files[0]
            if len(claim.files) > 1:
                file = next((file for file in claim.files if file in owners), file)
                matches.copies.update(other for other in claim.files if other != file)
            claimed[file].append(claim.name)
        for file, rivals in claimed.items():
            _give(file, rivals, step, owners, matches)


def _give(file: str, rivals: list[str], step: Step, owners: dict[str, str], matches: Matches) -> None:
    if file in owners:
        for name in rivals:
            matches.unclear[name] = f"it fits the file {file!r}, which has the labels of {owners[file]!r}"
        matches.undecided.update(rivals)
    elif len(rivals) > 1:
        matches.unclear[file] = f"two names in the table fit it: {', '.join(map(repr, sorted(rivals)[:2]))}"
        matches.undecided.update(rivals)
    elif file in matches.unclear:
        matches.undecided.update(rivals)
        matches.unclear[rivals[0]] = f"it fits the file {file!r}, which is ambiguous: {matches.unclear[file]}"
    else:
        matches.files[rivals[0]], matches.steps[rivals[0]] = file, step
        owners[file] = rivals[0]


def _refuse(claim: Claim, owners: dict[str, str], matches: Matches) -> None:
    shown = ", ".join(map(repr, sorted(claim.files)[:2]))
    why = claim.doubt or f"{claim.name!r} in the table fits {len(claim.files)} files: {shown}"
    free = [file for file in claim.files if file not in owners]
    matches.unclear.update(dict.fromkeys(free or [claim.name], why))
    matches.undecided.add(claim.name)
