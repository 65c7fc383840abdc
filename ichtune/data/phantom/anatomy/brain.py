"""What fills the skull: gray and white matter, fluid, membranes, vessels and harmless calcium."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from ichtune.data.phantom.anatomy.shapes import (
    Cloud,
    Plane,
    Points,
    bump,
    ellipsoid,
    mix,
    overlap,
    ramp,
    sample,
    share,
    smooth,
    tube,
    union,
)
from ichtune.data.phantom.anatomy.traits import Traits

CSF_HU: Final = 7.0
MEMBRANE_HU: Final = 46.0
CALCIUM_HU: Final = 210.0

# Points (x, y, z, radius) in mm, mirrored on the other side.
LATERAL_VENTRICLE = (
    (14, -50, 0, 2.0),
    (11, -40, 6, 3.6),
    (5, -20, 13, 3.4),
    (8, -4, 19, 3.4),
    (13, 12, 21, 3.8),
    (21, 27, 14, 4.8),
    (25, 42, 8, 4.2),
    (23, 60, 4, 2.0),
)
TEMPORAL_HORN = ((22, 30, 9, 3.6), (31, 16, -5, 2.0), (33, -4, -16, 1.8))
STRAIGHT_SINUS = ((0, 24, 4, 1.6), (0, 78, -9, 2.0))
TRANSVERSE_SINUS = ((0, 80, -11, 3.0), (34, 68, -15, 2.6), (55, 42, -18, 2.4))
MIDDLE_CEREBRAL_ARTERY = ((5, -16, -19, 1.7), (20, -21, -18, 1.6), (34, -22, -14, 1.4))


class Contents(NamedTuple):
    """The brain on a plane `[H, W]` in HU, and the share of fluid in each voxel that blood can replace (0..1)."""

    hu: Plane
    ventricles: Plane
    subarachnoid: Plane


class Brain:
    """One patient's brain."""

    def __init__(self, traits: Traits, rng: np.random.Generator) -> None:
        self.traits = traits
        self._bend = Cloud(rng, 30)
        self._grain = Cloud(rng, 9)
        self._gyri = _Gyri(rng)

    def rough(self, p: Points) -> Plane:
        """Return a random field of mean 0 and standard deviation about 1, for irregular outlines."""
        return 0.7 * self._bend.at(p) + 0.7 * self._grain.at(p)

    def at(self, p: Points, depth: Plane, widen_mm: Plane | float = 0.0) -> Contents:
        """Return the brain at points `depth` mm inside its space, with sulci and cisterns `widen_mm` wider."""
        t = self.traits
        half, bend = p.mirrored(), self._bend.at(p)
        below_tent = _below_tentorium(half)
        cerebral = 1 - share(below_tent, 3)
        fissure_end = _fissure_end(half)
        fissure = np.minimum(-np.abs(p.x + 1.2 * bend), fissure_end)
        sulcus, reach = self._gyri.at(p, depth, bend)
        # Half the width of a sulcus at its mouth; below zero, its banks touch.
        width = -0.7 + 2.1 * t.atrophy + (0.35 + 0.2 * t.atrophy) * bend

        ribbon = union(width - sulcus, 0.8 - depth, fissure) + 3.8
        gray = np.maximum(share(ribbon, 4), self._deep_gray(half, bend))
        folia = (0.75 + 0.25 * self._grain.at(p)) * ramp(half.x, 3, 14)
        gray = mix(folia, gray, cerebral)
        ventricle_mm = self._ventricles(half, bend)
        hu = mix(np.full_like(gray, t.white_hu), t.gray_hu, gray) + 0.5 * self._grain.at(p)
        hu = hu - 7 * t.leukoaraiosis * ramp(ventricle_mm, -9, -1) * cerebral * (1 - gray)

        # No sulcus reaches the basal ganglia, although they are close to the base.
        core = ellipsoid(half, (0, -8, 6), (36, 48, 26))
        mouths = overlap(width * (1.2 - depth / reach) - sulcus, -core)
        open_mm = np.maximum(mouths, 0.3 + 2 * t.atrophy * ramp(-p.y, -60, 50) - depth)
        sulci = share(open_mm + widen_mm, 1.5) * (0.3 + 0.7 * cerebral)
        cisterns = union(self._cisterns(half, bend), fissure - 0.1 + 1.2 * t.atrophy) + widen_mm
        ventricles = share(ventricle_mm)
        fluid = np.maximum(sulci, share(cisterns, 1.6)) * (1 - ventricles)
        hu = mix(mix(hu, CSF_HU + 2, fluid), CSF_HU, ventricles)
        hu = mix(hu, MEMBRANE_HU, 0.8 * share(_membranes(half, fissure_end), 1.6))
        hu = mix(hu, t.vessel_hu, 0.9 * share(_vessels(half, depth), 1.4))
        return Contents(self._calcium(hu, half), ventricles, fluid * share(depth))

    def _deep_gray(self, half: Points, bend: Plane) -> Plane:
        out = 0.6 * self.traits.ventricles_mm
        nuclei = (
            ((15 + out, -31, 9), (5, 12, 11)),  # caudate
            ((25, -16, 3), (6.5, 16, 10)),  # lentiform
            ((11 + out, 3, 8), (9, 14, 9)),  # thalamus
            ((38, -17, 5), (3, 20, 15)),  # insular cortex
        )
        inside = union(*(ellipsoid(half, center, radii) for center, radii in nuclei))
        return 0.9 * share(inside + 0.6 * bend, 3.5)

    def _ventricles(self, half: Points, bend: Plane) -> Plane:
        """Return the distance into the ventricles in mm."""
        out = self.traits.ventricles_mm
        horns = union(tube(half, LATERAL_VENTRICLE), tube(half, TEMPORAL_HORN) - 0.5 * out - 0.3)
        caudate = ellipsoid(half, (17 + 0.5 * out, -28, 9), (6.5, 15, 12))
        lateral = overlap(horns + out - 0.4 + 0.5 * bend, -0.7 * caudate, half.x - 1.2)
        third = ellipsoid(half, (0, -4, -2), (1.6 + 0.7 * max(out, 0), 13, 10))
        fourth = ellipsoid(half, (0, 29, -30), (6 + 0.4 * out, 4.5 + 0.3 * out, 10))
        return union(lateral, third, fourth)

    def _cisterns(self, half: Points, bend: Plane) -> Plane:
        """Return the distance into the basal cisterns and the sylvian fissures in mm."""
        wide = 0.1 + 1.2 * self.traits.atrophy
        # The sylvian fissure opens to the side in a plane that rises backwards, and spreads over the insula.
        rise = half.y + 36 - (half.z + 8) * 2 + 7 * bend + 0.25 * (half.x - 45)
        mouth = overlap(wide + 0.6 - np.abs(rise) * 0.42, half.x - 37)
        curve = half.x - 39 + np.square(half.y + 18) * 0.008 - 2.5 * bend
        insula = overlap(wide + 0.4 - np.abs(curve), ellipsoid(half, (38, -17, 5), (30, 24, 15)))
        sylvian = overlap(union(mouth, insula), 24 - np.abs(half.y + 18))
        star = ellipsoid(half, (0, -17, -17), (14, 11, 9)) + 3 * np.sin(5 * np.arctan2(half.y + 17, half.x))
        midbrain = ellipsoid(half, (0, 8, -9), (15, 12, 13)) + bend - 2.5 * bump(half.x, 0, 5) * (half.y < 0)
        ambient = overlap(midbrain + 1.4 + wide + 0.8 * bend, 0.3 - midbrain, half.y + 7)
        quadrigeminal = ellipsoid(half, (0, 24, -4), (9 + wide, 5 + wide, 6))
        pons = ellipsoid(half, (0, 8, -32), (19, 14, 24))
        prepontine = np.minimum(-pons, ellipsoid(half, (0, -5, -29), (13, 9, 14)))
        magna = ellipsoid(half, (0, 58, -52), (9 + 2 * wide, 14, 9))
        return union(sylvian, star, ambient, quadrigeminal, prepontine, magna) - 0.3

    def _calcium(self, hu: Plane, half: Points) -> Plane:
        t = self.traits
        spots = ((t.pineal_mm, (0, 18, 3)), (t.choroid_mm, (21, 30, 10)), (t.pallidum_mm, (19, -13, 1)))
        for radius, center in spots:
            if radius:
                spot = ellipsoid(half, center, (radius, 1.3 * radius, 1.5 * radius))
                hu = mix(hu, CALCIUM_HU, share(spot, 1.5))
        return hu


class _Gyri:
    """The folds of one brain's surface, as flat maps of all directions from its center."""

    SIZE, STEP_MM, RADIUS_MM, UNDER_MM = 480, 0.75, 105, 50

    def __init__(self, rng: np.random.Generator) -> None:
        white = rng.standard_normal((2, self.SIZE, self.SIZE), dtype=np.float32)
        fine, coarse, rough = (
            smooth(noise, mm / self.STEP_MM)
            for noise, mm in ((white[0], 4.8), (white[0], 9.0), (white[1], 9.0))
        )
        side = (fine > coarse).astype(np.uint8)
        away = cv2.distanceTransform(side, cv2.DIST_L2, 5) + cv2.distanceTransform(1 - side, cv2.DIST_L2, 5)
        self._to_sulcus = smooth(np.asarray(away - 1, np.float32), 0.8) * self.STEP_MM
        self._depth = np.clip(20 + 7 * rough / rough.std(), 6, 36).astype(np.float32)

    def at(self, p: Points, depth: Plane, bend: Plane) -> tuple[Plane, Plane]:
        """Return the distance to the nearest sulcus and its depth, both in mm."""
        # Lambert's azimuthal map of the directions from the center of the base: a sulcus runs inwards from the
        # surface, with some bending.
        z = p.z + self.UNDER_MM
        radius = np.sqrt(p.x * p.x + p.y * p.y + z * z) + 1
        stretch = np.sqrt(2 / (1.02 + z / radius)) * self.RADIUS_MM / radius
        u, v = p.x * stretch + 4 * bend, p.y * stretch - 4 * bend
        u, v = (c / self.STEP_MM + self.SIZE / 2 for c in (u, v))
        across = sample(self._to_sulcus, u, v)
        across = across * np.clip(radius / self.RADIUS_MM, 0.3, 1.2)
        reach = sample(self._depth, u, v)
        past = np.maximum(depth - reach, 0)
        return np.sqrt(across * across + past * past), reach


def _above_tentorium(half: Points) -> Plane:
    ridge = 2 - np.clip((half.y - 23) * (14 / 57), 0, 14)
    return half.z - np.maximum(ridge - 0.42 * half.x, -24)


def _below_tentorium(half: Points) -> Plane:
    """Return the distance into the space of brain stem and cerebellum in mm."""
    behind_petrous = half.y + 6 - 0.75 * np.maximum(half.x - 12, 0)
    return np.minimum(-_above_tentorium(half), behind_petrous)


def _fissure_end(half: Points) -> Plane:
    """Return the distance to the corpus callosum and the tentorium, where the interhemispheric fissure ends."""
    return -np.maximum(ellipsoid(half, (0, -2, 2), (40, 52, 30)), _below_tentorium(half))


def _membranes(half: Points, fissure_end: Plane) -> Plane:
    """Return the distance into falx and tentorium in mm."""
    reach = fissure_end - 2 - 12 * ramp(-half.y, 0, 40)  # in front, the falx ends well above the callosum
    falx = np.minimum(0.25 - half.x, reach)
    tentorium = overlap(1.2 - np.abs(_above_tentorium(half)), half.y - 22, 34 - half.x)
    return union(falx, tentorium)


def _vessels(half: Points, depth: Plane) -> Plane:
    """Return the distance into the venous sinuses and the large arteries in mm."""
    sagittal = overlap(4.2 - half.x - 0.35 * depth, 7 - depth)
    sagittal = np.where((half.z > 10) | (half.y > 60), sagittal, -9)
    basilar = ellipsoid(half, (0, -8, -26), (1.9, 1.9, 12))
    tubes = (tube(half, path) for path in (STRAIGHT_SINUS, TRANSVERSE_SINUS, MIDDLE_CEREBRAL_ARTERY))
    return union(sagittal, basilar, *tubes)
