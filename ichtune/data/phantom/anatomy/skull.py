"""Everything around the brain: skull, scalp, face and neck."""

from typing import Final

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

AIR_HU: Final = -1000.0
FAT_HU: Final = -95.0
WATER_HU: Final = 10.0
MUSCLE_HU: Final = 55.0
SKIN_HU: Final = 70.0
LENS_HU: Final = 75.0
DIPLOE_HU: Final = 620.0
FACE_BONE_HU: Final = 950.0
BONE_HU: Final = 1350.0

# Half axes of the space inside the vault, and the height at which it is widest.
VAULT_RADII: Final = (66.0, 86.0, 74.0)
VAULT_MIDDLE_Z: Final = 4.0
VAULT_TOP_Z: Final = VAULT_MIDDLE_Z + VAULT_RADII[2]
# No part of a head reaches farther to the sides (ears), to the front (nose) and to the back.
HALF_WIDTH: Final = 92.0
REACH_Y: Final = (-118.0, 112.0)

ZYGOMA = ((46, -72, -44, 5.0), (60, -56, -46, 3.0), (70, -25, -44, 2.2), (66, 6, -42, 3.0))
EAR_CANAL = ((48, 12, -38, 2.5), (88, 18, -40, 3.5))
ORBIT = ((32, -84, -29, 18.0), (28, -68, -29, 17.0), (12, -40, -25, 4.0))
OPTIC_NERVE = ((30, -74, -29, 2.0), (12, -40, -24, 2.2))
INNER_RECTUS = ((21, -80, -29, 1.6), (13, -46, -26, 1.6))
OUTER_RECTUS = ((43, -78, -29, 1.6), (18, -44, -26, 1.6))


class Skull:
    """One patient's head without its brain."""

    def __init__(self, traits: Traits, rng: np.random.Generator) -> None:
        self.traits = traits
        self._shape = Cloud(rng, 55)
        self._grain = Cloud(rng, 15)
        self._speckle = Cloud(rng, 4.5)
        self._base = _Base()

    def _vault_depth(self, p: Points) -> Plane:
        """Return the depth below the inner surface of the vault in mm, negative outside."""
        t = self.traits
        taper = 1 + 0.0012 * (p.y - 10)  # wider at the back than in front
        up = p.z - VAULT_MIDDLE_Z  # a dome above, almost a cylinder below
        from_middle = (np.abs(p.x + t.skew * p.y) / taper, np.abs(p.y), np.maximum(up, -0.4 * up))
        q = [c * (1 / r) for c, r in zip(from_middle, VAULT_RADII, strict=True)]
        # Distance to |q|_2.5 = 1, to first order: the norm's excess over its slope.
        powers = [c * np.sqrt(c) for c in q]
        level = sum((c * w for c, w in zip(q, powers, strict=True)), start=1e-4)
        slope = np.sqrt(sum(np.square(w * (1 / r)) for w, r in zip(powers, VAULT_RADII, strict=True)))
        norm = level**0.4
        return (1 - norm) * level / (norm * slope + 1e-6)

    def at(self, p: Points) -> tuple[Plane, Plane]:
        """Return a plane `[H, W]` of the head without its brain, in HU, and the depth inside the skull.

        The depth is the distance to the inner surface of vault and base in mm, negative outside.
        """
        t = self.traits
        half = p.mirrored()
        grain, speckle = self._grain.at(half), self._speckle.at(p)
        shape = self._shape.at(p)
        vault, above = self._vault_depth(p) + shape, self._base.above(p)
        depth = _rounded_minimum(vault, above, 8)
        vault_mm = self._vault_thickness(p, half, shape)
        skin = self._skin(half, vault + vault_mm + t.scalp_mm * (1 + 0.5 * ramp(p.y, 30, 80)))

        hu = mix(np.full_like(p.x, AIR_HU), SKIN_HU, share(skin))
        hu = mix(hu, FAT_HU, share(skin - 3.0, 1.5))
        temporalis = overlap(skin - 3.5, 16 - 0.5 * np.abs(half.y + 32), 24 - p.z)
        deep = overlap(-above - 2, skin - 4, -8 - p.z)  # below the base: face and neck
        hu = mix(hu, MUSCLE_HU, share(np.maximum(temporalis, deep), 2))
        hu = mix(hu, FAT_HU, 0.8 * share(np.minimum(deep, 0.3 - 7 * np.abs(grain + 0.3)), 2))
        hu = self._face(hu, half, skin)
        hu = mix(hu, 15.0, share(depth + 2))  # fluid, into which the inner edge of the bone fades
        bone_mm = mix(vault_mm, self._base.thickness(p), share(vault - above, 8))
        hu = self._bone(hu, depth, bone_mm, speckle)
        return self._hollows(hu, half, grain, speckle), depth

    def _vault_thickness(self, p: Points, half: Points, shape: Plane) -> Plane:
        thick = self.traits.skull_mm * (1 + 0.12 * shape)
        thin_temple = 3 * bump(p.y, -20, 32) * bump(p.z, -15, 32)
        crests = 1.5 * bump(half.x, 0, 12) * ramp(np.abs(p.y), 60, 85)
        brow = 6 * bump(half.x, 0, 38) * bump(p.z, -10, 17) * ramp(-p.y, 40, 75)
        return np.maximum(thick - thin_temple + crests + brow, 2.2)

    def _skin(self, half: Points, skin: Plane) -> Plane:
        nose = ellipsoid(half, (0, -98, -50), (10, 17, 24))
        lid = ellipsoid(half, (32, -86, -29), (17, 15, 16))
        ear, shell = ellipsoid(half, (82, 30, -36), (8, 15, 26)), ellipsoid(half, (86, 24, -36), (7, 12, 20))
        return union(skin, nose, lid, overlap(ear, -shell))

    def _bone(self, hu: Plane, depth: Plane, bone_mm: Plane, speckle: Plane) -> Plane:
        table = np.minimum(-depth, depth + bone_mm)  # distance to the nearer face of the bone
        diploe = share(table - 1.7, 1.5) * ramp(bone_mm, 3.5, 6)
        return mix(hu, mix(np.full_like(hu, BONE_HU), DIPLOE_HU + 110 * speckle, diploe), share(table))

    def _face(self, hu: Plane, half: Points, skin: Plane) -> Plane:
        """Orbits with their eyes, cheek bones and jaw joints."""
        cone = tube(half, ORBIT)
        orbit = overlap(cone, skin - 2)
        wall = overlap(1.5 - np.abs(cone + 1.2), half.y + 90, half.x - 6, skin - 3)
        jaw = ellipsoid(half, (50, 5, -53), (9, 6, 8))
        hu = mix(hu, FACE_BONE_HU, share(union(wall, tube(half, ZYGOMA), jaw)))
        hu = mix(hu, FAT_HU, share(orbit))
        strands = union(*(tube(half, path) for path in (OPTIC_NERVE, INNER_RECTUS, OUTER_RECTUS)))
        hu = mix(hu, MUSCLE_HU - 10, share(np.minimum(strands, orbit)))
        globe = ellipsoid(half, (32, -84, -29), (12, 12.5, 12))
        hu = mix(hu, MUSCLE_HU, share(globe))
        hu = mix(hu, WATER_HU, share(globe - 1.6))
        lens = ellipsoid(half, (32, -93, -29), (4.6, 2.2, 4.6))
        return mix(hu, LENS_HU, share(lens))

    def _hollows(self, hu: Plane, half: Points, grain: Plane, speckle: Plane) -> Plane:
        """Add air in the sinuses, the mastoids and the ears, between thin walls of bone."""
        f = self.traits.frontal_sinus
        sinuses = (
            ((9, -90, -6), (15 * f, 3.6, 15 * f)),  # frontal
            ((8, -22, -44), (9, 13, 9)),  # sphenoid
            ((27, -62, -68), (16, 18, 20)),  # maxillary
        )
        hollow = union(*(ellipsoid(half, center, radii) for center, radii in sinuses))
        septum = half.x - 0.9
        nose = overlap(12 - half.x, -36 - half.y, half.y + 90 + 0.7 * half.x, -25 - half.z)
        cells = np.minimum(nose, 6 * np.abs(grain + 0.5 * speckle) - 1.5)
        mastoid = np.minimum(ellipsoid(half, (58, 34, -38), (12, 14, 18)), 3 * speckle)
        air = union(overlap(union(hollow, cells), septum), mastoid, tube(half, EAR_CANAL))
        walls = np.maximum(hollow + 1.8, nose + 1)
        hu = np.where(hu > 300, hu, mix(hu, FACE_BONE_HU, share(walls)))
        return mix(hu, AIR_HU, share(air))


def _rounded_minimum(a: Plane, b: Plane, radius_mm: float) -> Plane:
    t = np.clip((b - a) * (0.5 / radius_mm) + 0.5, 0, 1)
    return mix(b, a, t) - radius_mm * t * (1 - t)


class _Base:
    """The floor of the skull: its height and thickness, over a map of 1 mm pixels."""

    EXTENT_MM = 128  # from the center to the map's border

    def __init__(self) -> None:
        axis = np.arange(-self.EXTENT_MM, self.EXTENT_MM + 1, dtype=np.float32)
        y, x = np.meshgrid(axis, np.abs(axis), indexing="ij")
        height, thick = _base_relief(x, y)
        self._height = smooth(height, 1.5)
        slope_y, slope_x = np.gradient(self._height)
        self._tilt = (1 / np.sqrt(1 + slope_x**2 + slope_y**2)).astype(np.float32)
        self._thickness = smooth(thick, 2)

    def _look_up(self, layer: Plane, p: Points) -> Plane:
        return sample(layer, p.x + self.EXTENT_MM, p.y + self.EXTENT_MM)

    def above(self, p: Points) -> Plane:
        """Return the distance to the floor in mm, negative below it."""
        gap = p.z - self._look_up(self._height, p)
        # A slope brings the floor nearer, but not for points far above it.
        return np.maximum(gap * self._look_up(self._tilt, p), gap - 4)

    def thickness(self, p: Points) -> Plane:
        return self._look_up(self._thickness, p)


def _base_relief(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return the height of the skull's floor and its thickness, in mm; `x` is the distance from the midline."""
    anterior = -15 + 6 * bump(x, 30, 16) - 9 * bump(x, 0, 7)  # orbital roofs, cribriform plate
    middle = -29 - 13 * bump(np.hypot(x - 38, 1.1 * (y + 10)), 0, 24)
    posterior = -58 + 40 * ramp(np.hypot(0.85 * x, y - 20), 14, 70)
    behind_ridge = ((y + 4) * 50 - (x - 10) * 34) / 60.5  # of the petrous bone, from (10, -4) to (60, 30)
    in_front = ramp(-(y + 24 + 0.28 * x), -4, 4)  # of the sphenoid's wings

    height = mix(mix(middle, anterior, in_front), posterior, ramp(behind_ridge, -2, 2))
    petrous = -23 - 0.09 * behind_ridge**2
    height = np.maximum(height, petrous)
    sella = -33 + 10 * ramp(-y, 18, 30) + 10 * ramp(y, -13, -7)
    clivus = np.where(y < -6, sella, np.maximum(-23 - 1.7 * (y + 6), -62))
    central = (1 - ramp(x, 11, 17)) * (1 - ramp(y, 25, 36))
    height = mix(height, clivus, central)
    foramen = share(1 - np.hypot(x / 15, (y - 26) / 18), 0.2)
    height = mix(height, -90.0, foramen)

    thick = mix(np.full_like(x, 4.5), 2.5, in_front)
    thick = mix(thick, 18.0, bump(behind_ridge, 0, 9) * ramp(x, 4, 12))
    thick = mix(thick, 13.0, central)
    return height.astype(np.float32), thick.astype(np.float32)
