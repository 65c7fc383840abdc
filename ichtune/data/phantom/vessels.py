"""Made-up heads in which only the neighbouring slices tell blood from a vessel.

A bright round spot that goes on through twelve slices is a vessel, one that ends after two a bleed. In a single slice
they are equal: both have the same distribution of places, heights, sizes and densities, and there are as many slices
with a vessel as with a bleed. So a model of single slices can find spots but must rate half of them wrong. Spots are
stylised (no vessel is that wide and straight), as this is about reading scans and not about anatomy.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from ichtune.data.phantom.anatomy.blood import BLOOD_HU
from ichtune.data.phantom.anatomy.shapes import Plane, share
from ichtune.data.phantom.draw import PatientPlan, Picture, draw_patient

KIND: Final = "intraparenchymal"
BAND: Final = 12  # slices that a vessel runs through
RUN: Final = 2  # slices that a bleed extends over, and that lie between two of them
BRAIN_HU: Final = 34.0


def draw_with_spots(plan: PatientPlan, size: int = 512) -> Iterator[Picture]:
    """Yield a patient's slices with one vessel or with three bleeds above each other, but at different places.

    Two of three patients bleed, because a vessel is in twice as many slices as three bleeds are.
    """
    rng = plan.rng(4)
    bleeds = plan.number % 3 > 0
    start = int(rng.integers(9, 12))  # all of the band is inside the cerebrum
    phase = int(rng.integers(2 * RUN))  # cyclic, so that bleeds are equally likely in all slices of the band
    places = [_place(rng) for _ in range(BAND // (2 * RUN) + 1)]
    for i, picture in enumerate(draw_patient(replace(plan, kinds=()), size)):
        step, spot = i - start + phase, _spot(rng)
        cycle, within = divmod(step, 2 * RUN)
        inside = 0 <= i - start < BAND
        if inside and bleeds and within < RUN:
            yield _painted(picture, *spot, places[cycle], bleeds=True)
        elif inside and not bleeds:
            yield _painted(picture, *spot, places[0], bleeds=False)
        else:
            yield picture


def _place(rng: np.random.Generator) -> np.ndarray:
    """Return where a spot is, in mm to the left and back of the image's middle: in the deep white matter."""
    return np.array([rng.choice([-1, 1]) * rng.uniform(16, 30), rng.uniform(-25, 30)])


def _spot(rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Return a slice's own wobble in mm, radius in mm and density in HU, whatever its neighbours have."""
    return rng.normal(0, 1, 2), rng.uniform(7, 10), rng.uniform(*BLOOD_HU)


def _painted(
    picture: Picture, wobble: np.ndarray, radius_mm: float, hu: float, place: np.ndarray, *, bleeds: bool
) -> Picture:
    cover = _disc(len(picture.hu), picture.spacing_mm, place + wobble, radius_mm)
    # Added rather than blended in, so that the noise stays.
    painted = np.rint(picture.hu + cover * (hu - BRAIN_HU)).astype(np.int16)
    return replace(picture, hu=painted, blood={KIND: cover} if bleeds else {})


def _disc(size: int, spacing_mm: float, middle_mm: np.ndarray, radius_mm: float) -> Plane:
    across = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * spacing_mm
    x, y = np.meshgrid(across - np.float32(middle_mm[0]), across - np.float32(middle_mm[1]))
    return share(radius_mm - np.hypot(x, y), 2.0)
