"""Made-up patients: how many bleed from where, and the slices of their heads."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from ichtune.data.phantom.anatomy.blood import BLEEDS
from ichtune.data.phantom.anatomy.head import Head
from ichtune.data.phantom.anatomy.scanner import Scanner
from ichtune.data.phantom.anatomy.shapes import Plane
from ichtune.data.phantom.anatomy.skull import VAULT_TOP_Z
from ichtune.data.phantom.anatomy.traits import draw_traits
from ichtune.labels import SUBTYPES

BLEEDING_SHARE: Final = 0.5  # of patients
ATROPHIC_SHARE: Final = 0.3
SLICE_MM: Final = 5.0
VISIBLE_MM2: Final = 15.0  # blood of at least this area (about 60 pixels) makes a slice positive

# The second bleed of a patient with two. Each kind appears once on either side, to keep the kinds balanced.
COMPANION: Final = {
    "epidural": "subdural",
    "subdural": "subarachnoid",
    "subarachnoid": "intraventricular",
    "intraventricular": "intraparenchymal",
    "intraparenchymal": "epidural",
}


@dataclass(frozen=True)
class PatientPlan:
    """A made-up patient's bleeds and seed, which determine the images bit for bit."""

    seed: int
    number: int
    kinds: tuple[str, ...]
    atrophic: bool

    def rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, *what])

    def made_up_id(self, *what: object, digits: int) -> str:
        """Return an identifier in RSNA's form: `ID_` and hexadecimal digits."""
        text = "/".join(map(str, ("phantom", self.seed, self.number, *what)))
        return "ID_" + hashlib.sha256(text.encode()).hexdigest()[:digits]


@dataclass(frozen=True)
class Picture:
    """One slice: HU `[S, S]`, its height, and the share of blood `[S, S]` of each of the patient's kinds."""

    hu: npt.NDArray[np.int16]
    blood: dict[str, Plane]
    z_mm: float
    spacing_mm: float

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of blood that are visible in this slice."""
        least = VISIBLE_MM2 / self.spacing_mm**2
        return tuple(kind for kind, share in self.blood.items() if np.count_nonzero(share > 0.5) >= least)


def plan_patients(patients: int, seed: int) -> list[PatientPlan]:
    """Plan all patients: half of them bleed, each kind about equally often, a third of those from two places."""
    rng = np.random.default_rng([seed, patients])
    bleeds: list[tuple[str, ...]] = []
    for i in range(round(patients * BLEEDING_SHARE)):
        turn, kind = divmod(i, len(SUBTYPES))
        first = SUBTYPES[kind]
        bleeds.append(tuple(sorted((first, COMPANION[first]))) if turn % 2 else (first,))
    bleeds += [()] * (patients - len(bleeds))
    order = rng.permutation(patients)
    atrophic = rng.permutation(patients) < round(patients * ATROPHIC_SHARE)
    return [PatientPlan(seed, n, bleeds[order[n]], bool(atrophic[n])) for n in range(patients)]


def draw_patient(plan: PatientPlan, size: int = 512) -> Iterator[Picture]:
    """Yield a patient's slices from the base of the skull to its top, `size` x `size` pixels each."""
    rng = plan.rng(0)
    traits = draw_traits(rng, atrophic=plan.atrophic, hydrocephalic="intraventricular" in plan.kinds)
    bleeds = [BLEEDS[kind](plan.rng(1, i)) for i, kind in enumerate(SUBTYPES) if kind in plan.kinds]
    head = Head(traits, bleeds, rng)
    rng = plan.rng(2)
    scanner = Scanner.draw(rng, traits.scale, size)
    bottom = rng.uniform(-58, -48)
    top = VAULT_TOP_Z * traits.scale[2] + rng.uniform(0, 11)
    slices = int(np.clip(np.ceil((top - bottom) / SLICE_MM), 24, 34))
    middles = [bottom + i * SLICE_MM for i in range(slices)]
    for i, (z, (hu, blood)) in enumerate(zip(middles, thick_slices(head, scanner, middles), strict=True)):
        blood = {
            kind: np.asarray(cv2.resize(share, (size, size)), np.float32) for kind, share in blood.items()
        }
        yield Picture(scanner.picture(hu, plan.rng(3, i)), blood, z + scanner.table_mm, scanner.spacing_mm)


def thick_slices(
    head: Head, scanner: Scanner, middles: list[float]
) -> Iterator[tuple[Plane, dict[str, Plane]]]:
    """Yield the head in HU and the shares of blood, averaged over the thickness of slices with these middles.

    Half of a slice is its middle, and the two planes that it shares with its neighbours are a quarter each: a slice's
    sensitivity falls off gradually, and a thin sulcus that runs through it obliquely is blurred.
    """
    below = head.at(scanner.points(middles[0] - SLICE_MM / 2))
    for z in middles:
        middle = head.at(scanner.points(z))
        above = head.at(scanner.points(z + SLICE_MM / 2))
        hu, blood = middle
        yield (
            _averaged(below[0], hu, above[0]),
            {kind: _averaged(below[1][kind], share, above[1][kind]) for kind, share in blood.items()},
        )
        below = above


def _averaged(below: Plane, middle: Plane, above: Plane) -> Plane:
    return 0.25 * below + 0.5 * middle + 0.25 * above
