"""The direction in which a table counts the slices of volumes, found by comparing its labels with voxel masks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ichtune.errors import InputError

UP: Final = "from the feet up"
DOWN: Final = "from the head down"
FILE: Final = "in the order of the file"
FILE_BACK: Final = "against the order of the file"
ORDERS: Final = (UP, DOWN, FILE, FILE_BACK)


class Scan(NamedTuple):
    """A volume's labels by the table's numbers and its mask."""

    name: str
    positive: dict[int, bool]
    """Whether the table calls a slice positive, by its number, counted from 0."""
    planes: int
    stored_from_head: bool
    marked: np.ndarray | None
    """Whether a slice has voxels in the mask, from the feet up, bool [planes]; None without a mask."""


def plane_of(number: int, planes: int, order: str, stored_from_head: bool) -> int:
    """Return the plane, counted from the feet, of a table's slice number, counted from 0."""
    from_head = {UP: False, DOWN: True, FILE: stored_from_head, FILE_BACK: not stored_from_head}[order]
    return planes - 1 - number if from_head else number


@dataclass(frozen=True)
class SliceOrder:
    """The direction in which a table counts, and notes on the comparison."""

    order: str
    notes: tuple[str, ...]


def settle_order(scans: Iterable[Scan], place: str) -> SliceOrder:
    """Determine how a table counts: so that most slices with voxels in a mask are positive.

    Raises:
        InputError: two directions that give different labels agree equally well, or none agrees with half of the masks.
    """
    scans = list(scans)
    marked = sum(int(scan.marked.sum()) for scan in scans if scan.marked is not None)
    agreeing = {order: _agreeing(scans, order) for order in ORDERS}
    best = max(agreeing, key=lambda order: agreeing[order])  # the first of the best
    rivals = [o for o in agreeing if agreeing[o] == agreeing[best] and _differ(scans, best, o)]
    if rivals:
        raise InputError(
            f"{place}: it can't be determined whether slice numbers count {best} or {rivals[0]}: of {marked:,} slices "
            f"with voxels in a mask, {agreeing[best]:,} are positive in the table either way; the folder masks must "
            "have the masks of these volumes"
        )
    if not marked:
        return SliceOrder(best, ())
    listed = sum(int(scan.marked.sum()) for scan in scans if scan.marked is not None and scan.positive)
    if agreeing[best] * 2 < listed:
        raise InputError(
            f"{place}: of {listed:,} slices with voxels in a mask, at most {agreeing[best]:,} are positive in the "
            "table, whichever way its slice numbers count; it must be about the volumes of these masks"
        )
    other = DOWN if best != DOWN else UP
    notes = [
        f"Slice numbers count {best}: of {marked:,} slices with voxels in a mask, {agreeing[best]:,} are positive in "
        f"the table ({agreeing[other]:,} if counted {other})."
    ]
    return SliceOrder(best, (*notes, *_disagreements(scans, best)))


def most_agreeing(scans: list[Scan]) -> int:
    """Return how many slices with voxels in a mask are positive in the table, in the direction that suits it best."""
    return max(_agreeing(scans, order) for order in ORDERS)


def _agreeing(scans: list[Scan], order: str) -> int:
    return sum(int((_positive(scan, order) & scan.marked).sum()) for scan in scans if scan.marked is not None)


def _positive(scan: Scan, order: str) -> np.ndarray:
    """Return which planes the table calls positive, from the feet up, bool [planes]."""
    positive = np.zeros(scan.planes, bool)
    for number, label in scan.positive.items():
        plane = plane_of(number, scan.planes, order, scan.stored_from_head)
        if 0 <= plane < scan.planes:
            positive[plane] = label
    return positive


def _differ(scans: list[Scan], one: str, other: str) -> bool:
    return any((_positive(scan, one) != _positive(scan, other)).any() for scan in scans)


def _disagreements(scans: list[Scan], order: str) -> list[str]:
    kinds: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "have voxels in a mask but no hemorrhage in the table": lambda positive, marked: marked & ~positive,
        "have a hemorrhage in the table but no voxels in the mask": lambda positive, marked: (
            positive & ~marked
        ),
    }
    notes = []
    for text, differ in kinds.items():
        found = [
            (scan.name, int(plane) + 1)
            for scan in scans
            if scan.marked is not None
            for plane in np.flatnonzero(differ(_positive(scan, order), scan.marked))
        ]
        if found:
            name, plane = found[0]
            notes.append(
                f"{len(found):,} slices {text} (the first: {name}, slice {plane} from the feet); the table counts."
            )
    return notes
