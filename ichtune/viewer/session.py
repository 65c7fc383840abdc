"""A model and the study that is open in the viewer: what the page asks about them."""

import threading
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ichtune.inference.activation_maps import activation_maps
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.viewer.maps import on_slice
from ichtune.viewer.study import Intake, Study, TooLarge


class Gone(LookupError):
    """A study, series, slice or intake that isn't open, or is no longer."""


@dataclass(frozen=True)
class OpenStudy:
    """A study with its number, which never comes again, and the model's answers so far."""

    number: int
    study: Study
    model: TrainedModel
    _busy: threading.Lock
    """Held while the model runs: two at once would only share the same cores."""
    _answers: dict[int, np.ndarray] = field(default_factory=dict)

    def rows(self, series: int) -> np.ndarray:
        """Return a series' rows from the feet towards the head, int64 [K]."""
        if not 0 <= series < len(self.study.scans):
            raise Gone(f"this study has no series {series}")
        return self.study.scans.rows(series)

    def pixels(self, series: int, place: int) -> np.ndarray:
        """Return a slice's Hounsfield units, upright and with square pixels, int16 [H, W]."""
        return self.study.arrived[self._row(series, place)].slice.hu

    def probabilities(self, series: int) -> np.ndarray:
        """Return the calibrated probabilities of a series' slices, float64 [K, 6]; computed once."""
        rows = self.rows(series)
        with self._busy:
            if series not in self._answers:
                self._answers[series] = self.model.predict(self._hu, rows, scans=self.study.scans)
            return self._answers[series]

    def map(self, series: int, place: int, label: int) -> np.ndarray:
        """Return a label's activation map on a slice, uint8 [H, W], highest at 255."""
        if not 0 <= label < len(LABELS):
            raise Gone(f"there is no label {label}")
        shape, row = self.pixels(series, place).shape, self._row(series, place)
        with self._busy:
            (found,) = activation_maps(
                self.model, self._hu, np.array([row]), label=LABELS[label], scans=self.study.scans
            )
            return on_slice(found, shape)

    def _row(self, series: int, place: int) -> int:
        rows = self.rows(series)
        if not 0 <= place < len(rows):
            raise Gone(f"this series has no slice {place}")
        return int(rows[place])

    @cached_property
    def _hu(self) -> np.ndarray:
        return self.study.hu(self.model.about.preprocessing.size)


class Session:
    """The open study, and the one that is arriving to take its place; several threads may ask at once."""

    def __init__(self, model: TrainedModel, most: int) -> None:
        """A study may take up to `most` bytes."""
        self.model, self.most = model, most
        self.opened: OpenStudy | None = None
        self._arriving: Intake | None = None
        self._number = 0
        self._changing, self._busy = threading.Lock(), threading.Lock()

    def study(self, number: int) -> OpenStudy:
        """Return the open study if it has this number."""
        opened = self.opened
        if opened is None or opened.number != number:
            raise Gone("this study is no longer open")
        return opened

    def begin(self) -> int:
        """Begin a study and return its number; one that was arriving before is dropped."""
        with self._changing:
            self._number += 1
            self._arriving = Intake(self.most)
            return self._number

    def add(self, number: int, name: str, content: bytes) -> str:
        """Take a file of the study with this number; see `Intake.add`.

        Raises:
            TooLarge: the study would become larger than allowed; what has arrived of it is dropped.
        """
        with self._changing:
            try:
                return self._intake(number).add(name, content)
            except TooLarge:
                self._arriving = None
                raise

    def open(self, number: int) -> OpenStudy | None:
        """Open the study that has arrived in place of the one before; None, and no change, if it has no slices."""
        with self._changing:
            intake = self._intake(number)
            self._arriving = None
            return self._show(intake) if intake.arrived else None

    def show(self, intake: Intake) -> OpenStudy:
        """Open a study that has arrived otherwise, with at least one slice."""
        with self._changing:
            self._number += 1
            return self._show(intake)

    def _show(self, intake: Intake) -> OpenStudy:
        self.opened = OpenStudy(self._number, Study.of(intake), self.model, self._busy)
        return self.opened

    def _intake(self, number: int) -> Intake:
        if self._arriving is None or self._number != number:
            raise Gone("another study has begun to arrive since")
        return self._arriving
