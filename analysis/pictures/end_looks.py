"""How trials ended, each with its own look."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from analysis.pictures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION
from ichtune.runs.ends import TrialEnd

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial


class Look(NamedTuple):
    """Words, colour and marker."""

    words: str
    colour: str
    marker: str


ENDS: Final = {
    TrialEnd.LAST_EPOCH: Look("all epochs", BLUE, "o"),
    TrialEnd.PATIENCE: Look("out of patience", GREEN, "s"),
    TrialEnd.ASHA: Look("stopped by ASHA", ORANGE, "^"),
    TrialEnd.DIVERGED: Look("diverged", VERMILLION, "x"),
    TrialEnd.FAILED: Look("failed", BLACK, "P"),
    TrialEnd.INTERRUPTED: Look("interrupted", PURPLE, "D"),
}
OTHER: Final = Look("running", GREY, "d")


def by_end(trials: Sequence["RankedTrial"]) -> dict[Look, list["RankedTrial"]]:
    """The trials grouped by how they ended, in the order above."""
    looks = [ENDS.get(trial.ended, OTHER) for trial in trials]
    groups = {
        look: [trial for trial, own in zip(trials, looks, strict=True) if own == look]
        for look in (*ENDS.values(), OTHER)
    }
    return {look: members for look, members in groups.items() if members}
