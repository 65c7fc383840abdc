"""Which files fit a table's name under one reading of both: as a path below the folder, or below another start."""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

IMAGE_SUFFIXES = {"png", "jpg", "jpeg", "dcm", "dicom", "ima"}
_ABSOLUTE = re.compile(r"/|~|\.\.(/|$)|[A-Za-z]:|[a-z0-9]+:/", re.IGNORECASE)
_DOUBT = "the table's paths fit the folder in more than one way when leading folders are dropped"


class Step(StrEnum):
    """How a name was matched to its file, strictest first; the value completes "matched ..."."""

    EXACT = "as they are written"
    SUFFIX = "without the suffix"
    FOLDER = "in a folder that the table doesn't name"
    PREFIX = "without the table's leading folders"
    CASE = "ignoring case"
    UNICODE = "in another Unicode form"
    BLANKS = "ignoring blanks"
    NUMBER = "as numbers"
    UID = "by the DICOM's SOPInstanceUID"


def without_suffix(file: str) -> str:
    """Return a path or name without the suffix of an image or DICOM file."""
    bare, _, suffix = file.rpartition(".")
    return bare if suffix.strip().lower() in IMAGE_SUFFIXES else file


class Claim(NamedTuple):
    """The files that fit a name; `doubt` says why even a single one would be a guess."""

    name: str
    files: list[str]
    step: Step
    doubt: str = ""


class Folder:
    """Files by their paths under one reading, without suffixes: by the whole path, and by every tail of it."""

    def __init__(self, files: list[str], read: list[str], bare: list[str]) -> None:
        self.files, self.read, self.bare = files, read, bare
        self.whole: dict[str, list[int]] = {}
        for number, path in enumerate(bare):
            self.whole.setdefault(path, []).append(number)

    @cached_property
    def tails(self) -> dict[str, list[int]]:
        """Files by every tail of their path that starts below its first folder."""
        tails: dict[str, list[int]] = {}
        for number, path in enumerate(self.bare):
            at = path.find("/")
            while at >= 0:
                tails.setdefault(path[at + 1 :], []).append(number)
                at = path.find("/", at + 1)
        return tails

    def names(self, numbers: Iterable[int]) -> list[str]:
        return [self.files[number] for number in numbers]


def of_same_base_name(
    names: dict[str, str], files: list[str], read: list[str]
) -> tuple[dict[str, str], Folder]:
    """Return the names and files whose base name, without suffix, exists on both sides; others can't match."""
    bare = [without_suffix(path) for path in read]
    bases = [path.rpartition("/")[2] for path in bare]
    wanted = {name: without_suffix(path).rpartition("/")[2] for name, path in names.items()}
    both = set(bases) & set(wanted.values())
    kept = [number for number, base in enumerate(bases) if base in both]
    folder = Folder(*([texts[number] for number in kept] for texts in (files, read, bare)))
    return {name: path for name, path in names.items() if wanted[name] in both}, folder


def claims_of(
    names: dict[str, str], folder: Folder, step: Step, depths: list[int], start_known: bool
) -> tuple[list[Claim], list[int]]:
    """Return what each name fits under one reading, and how many leading folders of the table to drop.

    All paths of a table start at the same folder: if one fits as it is, none loses its leading folders.
    """
    claims: list[Claim] = []
    rest: dict[str, str] = {}
    for name, path in names.items():
        if not (found := folder.whole.get(without_suffix(path))):
            rest[name] = path
            continue
        start_known |= "/" in path
        same = [number for number in found if folder.read[number] == path]
        how = Step.EXACT if same else Step.SUFFIX
        claims.append(Claim(name, folder.names(same or found), how if step is Step.EXACT else step))
    if not start_known and not depths:
        depths = _depths(rest.values(), folder)
    for name, path in rest.items():
        found, how = _elsewhere(path, folder, depths, start_known)
        doubt = _DOUBT if how is Step.PREFIX and len(depths) > 1 else ""
        if found:
            claims.append(Claim(name, folder.names(found), how if step is Step.EXACT else step, doubt))
    return claims, depths


def _elsewhere(path: str, folder: Folder, depths: list[int], start_known: bool) -> tuple[list[int], Step]:
    """Return the files that fit a path that starts elsewhere than at the folder."""
    bare = without_suffix(path)
    if depths:
        tails = _tails(bare)
        cut = [folder.whole[tails[k]] for k in depths if k < len(tails) and tails[k] in folder.whole]
        if cut:
            return _of_suffix(path, [number for found in cut for number in found], folder), Step.PREFIX
    if found := folder.tails.get(bare):
        return _of_suffix(path, found, folder), Step.FOLDER
    if not depths and not start_known and _ABSOLUTE.match(path):
        for tail in _tails(bare):
            if found := [*folder.whole.get(tail, ()), *folder.tails.get(tail, ())]:
                return _of_suffix(path, found, folder), Step.PREFIX
    return [], Step.FOLDER


def _tails(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[k:]) for k in range(1, len(parts))]


def _of_suffix(path: str, found: list[int], folder: Folder) -> list[int]:
    """Return those with the path's own suffix; all of them if none has it."""
    if len(found) == 1:
        return found
    suffix = path[len(without_suffix(path)) :]
    return [number for number in found if suffix and folder.read[number].endswith(suffix)] or found


def _depths(paths: Iterable[str], folder: Folder) -> list[int]:
    """Return the numbers (minus one) of common leading folders whose removal makes some paths files of the folder.

    If there are two, it is ambiguous where the table's paths start, as with a copy of the folder inside itself.
    """
    paths = [without_suffix(path) for path in paths if "/" in path]
    if not paths:
        return []
    low, high = min(paths), max(paths)
    length = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    starts = [found.end() for found in re.finditer("/", low) if found.end() <= length]
    return [depth for depth, at in enumerate(starts) if any(path[at:] in folder.whole for path in paths)]
