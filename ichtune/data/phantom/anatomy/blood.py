"""The five hemorrhages, where anatomy puts them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ichtune.data.phantom.anatomy.brain import Contents
from ichtune.data.phantom.anatomy.shapes import Plane, Points, Vector, ellipsoid, mix, ramp, share
from ichtune.data.phantom.anatomy.skull import VAULT_MIDDLE_Z, VAULT_RADII

BLOOD_HU: Final = (65.0, 75.0)  # clotted within hours: the dense end of acute blood, 50 to 75 HU
EDEMA_HU: Final = 20.0

# Where blood breaks into the brain: the position on the left side, and how large it grows there, in mm.
PARENCHYMA: Final[tuple[tuple[Vector, float], ...]] = (
    ((27, -12, 4), 24),  # putamen
    ((13, 4, 8), 14),  # thalamus
    ((32, -52, 24), 24),  # frontal lobe
    ((38, 22, 34), 24),  # parietal lobe
    ((48, 0, -18), 18),  # temporal lobe
    ((28, 58, 12), 20),  # occipital lobe
    ((26, -28, 50), 18),  # high in the frontal lobe
    ((26, 38, 52), 18),  # high in the parietal lobe
    ((24, 46, -32), 17),  # cerebellum
)


@dataclass(frozen=True, kw_only=True)
class Bleed:
    """One hemorrhage: first what it does to the brain, then where its blood ends up."""

    kind: str
    hu: float
    push_mm: float = 0.0  # how far it pushes the brain beside it to the other side
    push_from: Vector = (0.0, 0.0, 0.0)
    push_reach_mm: float = 50.0

    def before(self, p: Points) -> Points:
        """Return where the tissue now at `p` was before the bleed pushed it."""
        if not self.push_mm:
            return p
        cx, cy, cz = self.push_from
        squares = np.square(p.x - cx) + np.square(p.y - cy) + np.square(p.z - cz)
        push = math.copysign(self.push_mm, cx) * np.exp(squares * (-0.5 / self.push_reach_mm**2))
        return Points(p.x + push, p.y, p.z)

    def lifts_mm(self, p: Points, rough: Plane) -> Plane | float:
        """Return how far the brain's surface is lifted off the skull."""
        return 0.0

    def widens_mm(self, p: Points, rough: Plane) -> Plane | float:
        """Return by how much sulci and cisterns are widened."""
        return 0.0

    def swells(self, hu: Plane, p: Points, rough: Plane) -> Plane:
        """Return the brain in HU, with the edema around the bleed."""
        return hu

    def cover(self, p: Points, depth: Plane, contents: Contents, rough: Plane) -> Plane:
        """Return the share of blood in each voxel, 0..1."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class OutsideBrain(Bleed):
    """Between skull and brain, thickest at `center`."""

    center: Vector
    radius_mm: float
    thick_mm: float

    def cover(self, p: Points, depth: Plane, contents: Contents, rough: Plane) -> Plane:
        return share(self.lifts_mm(p, rough) - np.maximum(depth, 0) - 0.6) * share(depth)

    def _away(self, p: Points) -> list[Plane]:
        return [c - at for c, at in zip((p.x, p.y, p.z), self.center, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Lens(OutsideBrain):
    """Between bone and dura, which adheres to the bone: short, thick, bulging inwards."""

    normal: Vector

    def lifts_mm(self, p: Points, rough: Plane) -> Plane:
        away = self._away(p)
        nx, ny, nz = self.normal
        inwards = -(away[0] * nx + away[1] * ny + away[2] * nz)
        along = away[0] * away[0] + away[1] * away[1] + away[2] * away[2] - inwards * inwards
        thick = self.thick_mm * (1 - np.minimum(along * (1 / self.radius_mm**2), 1))
        # Only under the vault here, not on the skull base, which may be near as well.
        under_vault = inwards - along * (1 / 150)
        return thick * share(thick + 4 - under_vault, 4)


@dataclass(frozen=True, kw_only=True)
class Crescent(OutsideBrain):
    """Between dura and brain: long and thin over one hemisphere, up to the falx and down to the base."""

    def lifts_mm(self, p: Points, rough: Plane) -> Plane:
        dx, dy, dz = self._away(p)
        along = np.sqrt(dx * dx + dy * dy + dz * dz) * (1 / self.radius_mm)
        thick = self.thick_mm * (1 - np.minimum(along, 1) ** 4 + 0.12 * rough)
        side = math.copysign(1, self.center[0])
        floor = 14 * ramp(-p.y, 15, 35)  # the base is higher in front
        return np.maximum(thick, 0) * ramp(side * p.x, 1, 16) * ramp(p.z - floor, -26, -8)


@dataclass(frozen=True, kw_only=True)
class InBrain(Bleed):
    """An irregular clot in the brain, with or without a rim of edema."""

    center: Vector
    radii: Vector
    edema_mm: float

    def _inside(self, p: Points, rough: Plane) -> Plane:
        return ellipsoid(p, self.center, self.radii) + 0.17 * min(self.radii) * rough

    def swells(self, hu: Plane, p: Points, rough: Plane) -> Plane:
        if not self.edema_mm:
            return hu
        return mix(hu, EDEMA_HU, 0.85 * share(self._inside(p, rough) + self.edema_mm, 4))

    def cover(self, p: Points, depth: Plane, contents: Contents, rough: Plane) -> Plane:
        return share(self._inside(p, rough), 1.8) * share(depth - 2) * (1 - contents.ventricles)


@dataclass(frozen=True, kw_only=True)
class InVentricles(Bleed):
    """Blood that has settled at the back of the ventricles of a supine patient, up to a level."""

    level_mm: float  # clear fluid in front of this
    sides: tuple[float, float]  # how much the right and left side are filled, 0..1

    def cover(self, p: Points, depth: Plane, contents: Contents, rough: Plane) -> Plane:
        filled = ramp(p.y + 2.5 * rough, self.level_mm - 3, self.level_mm + 3)
        side = self.sides[0] + (self.sides[1] - self.sides[0]) * ramp(p.x, -2, 2)
        return contents.ventricles * filled * side


@dataclass(frozen=True, kw_only=True)
class InSulci(Bleed):
    """Blood in the fluid around the brain, within some distance of its source."""

    center: Vector
    reach_mm: float

    def _weight(self, p: Points, rough: Plane) -> Plane:
        cx, cy, cz = self.center
        away = np.sqrt(np.square(p.x - cx) + np.square(p.y - cy) + np.square(1.2 * (p.z - cz)))
        return ramp(self.reach_mm - away + 5 * rough, 0, 14)

    def widens_mm(self, p: Points, rough: Plane) -> Plane:
        # A clot fills and stretches its sulcus; lines of 2 to 4 mm, as acute ones are, survive the slice's thickness.
        return 2.5 * self._weight(p, rough)

    def cover(self, p: Points, depth: Plane, contents: Contents, rough: Plane) -> Plane:
        return contents.subarachnoid * self._weight(p, rough)


def _on_skull(side: int, turn_deg: float, rise_deg: float) -> tuple[Vector, Vector]:
    """Return a point on the vault and its normal, `turn_deg` from the side to the back and `rise_deg` up."""
    turn, rise = math.radians(turn_deg), math.radians(rise_deg)
    ways = (side * math.cos(turn) * math.cos(rise), math.sin(turn) * math.cos(rise), math.sin(rise))
    out = sum(abs(way) ** 2.5 for way in ways) ** -0.4  # onto the vault's rounded box
    x, y, z = (way * radius * out for way, radius in zip(ways, VAULT_RADII, strict=True))
    slopes = [way / radius for way, radius in zip(ways, VAULT_RADII, strict=True)]
    nx, ny, nz = (slope / math.hypot(*slopes) for slope in slopes)
    return (x, y, z + VAULT_MIDDLE_Z), (nx, ny, nz)


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _epidural(rng: np.random.Generator) -> Bleed:
    side, thick = _side(rng), rng.uniform(10, 26)
    # Most are temporal or parietal, but frontal, occipital and high ones occur: place alone must not give them away.
    center, normal = _on_skull(side, rng.uniform(-55, 55), rng.uniform(-15, 65))
    return Lens(
        kind="epidural",
        hu=rng.uniform(*BLOOD_HU),
        center=center,
        normal=normal,
        radius_mm=12 + thick * rng.uniform(0.8, 1.2),
        thick_mm=thick,
        push_mm=0.25 * thick,
        push_from=(0.4 * center[0], center[1], center[2]),
    )


def _subdural(rng: np.random.Generator) -> Bleed:
    side, thick = _side(rng), rng.uniform(6, 16)
    center, _ = _on_skull(side, rng.uniform(-35, 35), rng.uniform(0, 70))
    return Crescent(
        kind="subdural",
        hu=rng.uniform(*BLOOD_HU),
        center=center,
        radius_mm=rng.uniform(35, 75),
        thick_mm=thick,
        push_mm=0.5 * thick,
        push_from=(0.4 * center[0], center[1], center[2]),
    )


def _intraparenchymal(rng: np.random.Generator) -> Bleed:
    side = _side(rng)
    (x, y, z), largest = PARENCHYMA[rng.integers(len(PARENCHYMA))]
    center = (side * (x + rng.uniform(-3, 3)), y + rng.uniform(-6, 6), z + rng.uniform(-4, 4))
    radius = rng.uniform(11, largest + 3)  # smaller ones are gone in 5 mm slices of 128 pixels
    return InBrain(
        kind="intraparenchymal",
        hu=rng.uniform(*BLOOD_HU),
        center=center,
        radii=(
            radius * rng.uniform(0.75, 1.2),
            radius * rng.uniform(0.75, 1.2),
            radius * rng.uniform(0.75, 1.2),
        ),
        edema_mm=rng.uniform(2, 7) if rng.random() < 0.65 else 0.0,
        push_mm=0.2 * radius,
        push_from=center,
        push_reach_mm=20 + radius,
    )


def _intraventricular(rng: np.random.Generator) -> Bleed:
    full, other = 1.0, 0.9 if rng.random() < 0.5 else 0.0
    level = rng.choice(
        [-60.0, rng.uniform(-30, 10), rng.uniform(20, 46)]
    )  # completely filled, half full, or a sediment
    return InVentricles(
        kind="intraventricular",
        hu=rng.uniform(*BLOOD_HU),
        level_mm=float(level),
        sides=(full, other) if rng.random() < 0.5 else (other, full),
    )


def _subarachnoid(rng: np.random.Generator) -> Bleed:
    side = _side(rng)
    if rng.random() < 0.4:  # a ruptured aneurysm: basal cisterns and sylvian fissures
        center, reach = (side * rng.uniform(0, 22), rng.uniform(-26, -10), -14.0), rng.uniform(30, 65)
    else:  # an injury: the sulci of one convexity
        center, _ = _on_skull(side, rng.uniform(-60, 60), rng.uniform(0, 70))
        reach = rng.uniform(26, 48)
    return InSulci(kind="subarachnoid", hu=rng.uniform(*BLOOD_HU), center=center, reach_mm=reach)


BLEEDS: Final[dict[str, Callable[[np.random.Generator], Bleed]]] = {
    "epidural": _epidural,
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
}
