"""Predictions as a submission to the RSNA 2019 challenge."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.files import replacing
from ichtune.labels import LABELS
from ichtune.prediction.challenge_table import ChallengeTable
from ichtune.wording import plural

SURE: Final = 1e-5
"""Probabilities are kept this far from 0 and 1, as by the challenge's second place: a certain error costs 11.5, instead
of the challenge's 34.5."""


@dataclass(frozen=True)
class Submission:
    """The probabilities [N, 6] of a sample submission's slices, and how they were found."""

    sample: ChallengeTable
    probabilities: np.ndarray
    filled: int
    """Slices without a prediction, which have the mean of all others."""
    twice: int
    """Slices that several files are named after, of which the first counts."""

    @classmethod
    def of(cls, sample: ChallengeTable, parts: Iterable[pd.DataFrame]) -> "Submission | None":
        """Return the submission of tables of predictions; None if there is none for any of the sample's slices.

        A file belongs to the slice that it is named after.
        """
        count = len(sample.slices)
        found, seen = np.full((count, len(LABELS)), np.nan), np.zeros(count, np.int64)
        for part in parts:
            read = part[part["reason"] == ""]
            places = sample.places(read["slice_id"])
            known = places >= 0
            values = read[list(LABELS)].to_numpy(float)[known]
            new, first = np.unique(places[known], return_index=True)
            first = first[seen[new] == 0]
            found[places[known][first]] = values[first]
            np.add.at(seen, places[known], 1)
        if not seen.any():
            return None
        filled = seen == 0
        found[filled] = found[~filled].mean(axis=0)
        return cls(sample, np.clip(found, SURE, 1 - SURE), int(filled.sum()), int((seen > 1).sum()))

    def write(self, file: Path) -> None:
        """Write it as the challenge's CSV, in the order of the sample."""
        table = pd.DataFrame({"ID": self.sample.ids, "Label": self.sample.in_order(self.probabilities)})
        with replacing(file) as beside:
            table.to_csv(beside, index=False)

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        notes = []
        if self.filled:
            notes.append(
                f"{plural(self.filled, 'slice', 'slices')} of the sample submission without a prediction, filled with "
                "the mean of all others."
            )
        if self.twice:
            notes.append(
                f"{plural(self.twice, 'slice is', 'slices are')} predicted several times, as files in several folders "
                "have their names; the first counts."
            )
        return notes
