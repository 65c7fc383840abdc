"""Soft-edged solids on a plane of voxels, the building blocks of made-up heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Vector = tuple[float, float, float]

FAR_MM: Final = 12.0  # anything farther than this from a plane may be ignored
NOWHERE_MM: Final = -1000.0


@dataclass(frozen=True)
class Points:
    """Positions in the head of the voxels of a plane `[H, W]`, in mm to the left, back and top."""

    x: Plane
    y: Plane
    z: Plane

    def mirrored(self) -> "Points":
        """Return the points with the right half of the head mirrored onto the left."""
        return Points(np.abs(self.x), self.y, self.z)

    def crop(self, window: tuple[slice, slice]) -> "Points":
        return Points(self.x[window], self.y[window], self.z[window])

    @cached_property
    def _levels(self) -> tuple[float, float]:
        return float(self.z.min()), float(self.z.max())

    def near(self, low: float, high: float) -> bool:
        """Whether the plane comes near the heights between `low` and `high`."""
        return self._levels[0] - FAR_MM < high and low < self._levels[1] + FAR_MM


def share(inside_mm: Plane, blur_mm: float = 1.3) -> Plane:
    """Return the share of a voxel inside an edge (0..1), from the distance to it (mm, positive inside)."""
    return np.clip(inside_mm * (1 / blur_mm) + 0.5, 0, 1)


def ramp(values: Plane, start: float, stop: float) -> Plane:
    """Return 0 for `values` before `start`, 1 past `stop`, with a smooth transition."""
    t = np.clip((values - start) * (1 / (stop - start)), 0, 1)
    return t * t * (3 - 2 * t)


def bump(values: Plane, center: float, width: float) -> Plane:
    """Return a Gaussian of height 1."""
    t = (values - center) * (1 / width)
    return np.exp(-t * t)


def mix(base: Plane, paint: Plane | float, cover: Plane) -> Plane:
    """Return `base` blended with `paint` by `cover` (1 is all `paint`)."""
    return base + (paint - base) * cover


def union(*inside_mm: Plane) -> Plane:
    """Return the distance into the union of solids."""
    return reduce(np.maximum, inside_mm)


def overlap(*inside_mm: Plane) -> Plane:
    """Return the distance into the intersection of solids."""
    return reduce(np.minimum, inside_mm)


def ellipsoid(p: Points, center: Vector, radii: Vector) -> Plane:
    """Return the distance into an ellipsoid in mm (negative outside; first order, exact at its surface)."""
    if not p.near(center[2] - radii[2], center[2] + radii[2]):
        return np.full((), NOWHERE_MM, np.float32)
    q = [(c - at) * (1 / r) for c, at, r in zip((p.x, p.y, p.z), center, radii, strict=True)]
    squares = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + 1e-6
    q = [c * (1 / r) for c, r in zip(q, radii, strict=True)]
    slopes = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + 1e-9
    return (np.sqrt(squares) - squares) / np.sqrt(slopes)


def tube(p: Points, path: Sequence[tuple[float, float, float, float]]) -> Plane:
    """Return the distance into a tube of varying radius through `(x, y, z, radius)` points."""
    inside = np.full((), NOWHERE_MM, np.float32)
    for (ax, ay, az, ar), (bx, by, bz, br) in pairwise(path):
        if not p.near(min(az - ar, bz - br), max(az + ar, bz + br)):
            continue
        dx, dy, dz = bx - ax, by - ay, bz - az
        px, py, pz = p.x - ax, p.y - ay, p.z - az
        along = (px * dx + py * dy + pz * dz) * (1 / (dx * dx + dy * dy + dz * dz))
        along = np.clip(along, 0, 1)
        px, py, pz = px - along * dx, py - along * dy, pz - along * dz
        inside = np.maximum(inside, ar + along * (br - ar) - np.sqrt(px * px + py * py + pz * pz))
    return inside


def sample(map_: Plane, u: Plane, v: Plane, method: int = cv2.INTER_LINEAR) -> Plane:
    """Sample a map at columns `u` and rows `v`, extending its border values outwards."""
    return np.asarray(cv2.remap(map_, u, v, method, borderMode=cv2.BORDER_REPLICATE), np.float32)


def smooth(map_: Plane, pixels: float) -> Plane:
    """Blur a map with a Gaussian of this standard deviation."""
    return np.asarray(cv2.GaussianBlur(map_, (0, 0), pixels), np.float32)


class Cloud:
    """A smooth random field through the head, of mean 0 and standard deviation about 1."""

    EXTENT_MM = 280.0

    def __init__(self, rng: np.random.Generator, grain_mm: float) -> None:
        self._grain_mm = grain_mm
        n = int(self.EXTENT_MM / grain_mm) + 3
        # Interpolation between nodes reduces the spread; 1.6 compensates. Extremes would tear anatomy apart.
        self._nodes = np.clip(rng.standard_normal((n, n, n), dtype=np.float32), -1.6, 1.6) * 1.6

    def at(self, p: Points) -> Plane:
        """Return the field on a plane, `[H, W]`, treated as level: good enough for noise, and three times as fast."""
        u, v, w = ((c + self.EXTENT_MM / 2) * (1 / self._grain_mm) for c in (p.x, p.y, p.z))
        level = float(np.clip(w.mean(), 0, len(self._nodes) - 1.001))
        below = int(level)
        part = level - below
        nodes = self._nodes[below] * (1 - part) + self._nodes[below + 1] * part
        return sample(nodes, u, v, cv2.INTER_CUBIC)
