"""Individual traits of made-up heads."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Sizes (mm), tissue values (HU) and signs of ageing of one head."""

    scale: tuple[float, float, float]  # of the head relative to the template, in width, length and height
    skew: float
    skull_mm: float
    scalp_mm: float
    frontal_sinus: float
    gray_hu: float
    white_hu: float
    vessel_hu: float
    atrophy: float  # 0 tight .. 1 wide sulci and cisterns
    ventricles_mm: float  # how much farther out the ventricles' walls are than in a young brain
    leukoaraiosis: float  # 0 .. 1, dark white matter around the ventricles
    pineal_mm: float  # radius of the calcified spots; 0 means none
    choroid_mm: float
    pallidum_mm: float


def draw_traits(rng: np.random.Generator, *, atrophic: bool, hydrocephalic: bool = False) -> Traits:
    """Draw the traits of a random head, each within the common range."""
    size = rng.uniform(0.94, 1.06)
    atrophy = rng.uniform(0.65, 1.0) if atrophic else rng.uniform(0.0, 0.35)
    return Traits(
        scale=(
            size * rng.uniform(0.96, 1.05),
            size * rng.uniform(0.95, 1.05),
            size * rng.uniform(0.96, 1.04),
        ),
        skew=rng.uniform(-0.03, 0.03),
        skull_mm=rng.uniform(5.0, 8.5),
        scalp_mm=rng.uniform(4.0, 8.0),
        frontal_sinus=rng.uniform(0.4, 1.2),
        gray_hu=rng.uniform(37.5, 40.5),
        white_hu=rng.uniform(28.5, 31.0),
        vessel_hu=rng.uniform(46, 64),
        atrophy=atrophy,
        ventricles_mm=atrophy * rng.uniform(2.5, 5.0) + rng.uniform(-0.8, 0.6) + 2.0 * hydrocephalic,
        leukoaraiosis=rng.uniform(0.2, 1.0) if atrophic else 0.0,
        pineal_mm=rng.uniform(1.5, 3.2) if rng.random() < 0.7 else 0.0,
        choroid_mm=rng.uniform(1.8, 4.0) if rng.random() < 0.6 else 0.0,
        pallidum_mm=rng.uniform(1.5, 3.0) if rng.random() < 0.2 else 0.0,
    )
