"""Soft-edged solids on a plane of voxels: what the made-up heads are built from."""

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

FAR_MM: Final = 12.0  # what is farther from a plane than this may count as nowhere
NOWHERE_MM: Final = -1000.0


@dataclass(frozen=True)
class Points:
    """Where the voxels of a plane `[H, W]` lie in the head, in mm: to its left, its back and its top."""

    x: Plane
    y: Plane
    z: Plane

    def mirrored(self) -> "Points":
        """Both halves of the head folded onto its left one."""
        return Points(np.abs(self.x), self.y, self.z)

    def crop(self, window: tuple[slice, slice]) -> "Points":
        return Points(self.x[window], self.y[window], self.z[window])

    @cached_property
    def _levels(self) -> tuple[float, float]:
        return float(self.z.min()), float(self.z.max())

    def near(self, low: float, high: float) -> bool:
        """Whether the plane comes near what is between the heights `low` and `high`."""
        return self._levels[0] - FAR_MM < high and low < self._levels[1] + FAR_MM


def share(inside_mm: Plane, blur_mm: float = 1.3) -> Plane:
    """Share of a voxel inside an edge (0..1), from the distance to it (mm, positive inside)."""
    return np.clip(inside_mm * (1 / blur_mm) + 0.5, 0, 1)


def ramp(values: Plane, start: float, stop: float) -> Plane:
    """0 where `values` lie before `start`, 1 past `stop`, smooth between."""
    t = np.clip((values - start) * (1 / (stop - start)), 0, 1)
    return t * t * (3 - 2 * t)


def bump(values: Plane, center: float, width: float) -> Plane:
    """A Gaussian hill of height 1."""
    t = (values - center) * (1 / width)
    return np.exp(-t * t)


def mix(base: Plane, paint: Plane | float, cover: Plane) -> Plane:
    """`base` covered with `paint` where `cover` is 1."""
    return base + (paint - base) * cover


def union(*inside_mm: Plane) -> Plane:
    """Distance into the union of some solids."""
    return reduce(np.maximum, inside_mm)


def overlap(*inside_mm: Plane) -> Plane:
    """Distance into the intersection of some solids."""
    return reduce(np.minimum, inside_mm)


def ellipsoid(p: Points, center: Vector, radii: Vector) -> Plane:
    """Distance into an ellipsoid in mm (negative outside; first order, exact at its surface)."""
    if not p.near(center[2] - radii[2], center[2] + radii[2]):
        return np.full((), NOWHERE_MM, np.float32)
    q = [(c - at) * (1 / r) for c, at, r in zip((p.x, p.y, p.z), center, radii, strict=True)]
    squares = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + 1e-6
    q = [c * (1 / r) for c, r in zip(q, radii, strict=True)]
    slopes = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + 1e-9
    return (np.sqrt(squares) - squares) / np.sqrt(slopes)


def tube(p: Points, path: Sequence[tuple[float, float, float, float]]) -> Plane:
    """Distance into a tube through `(x, y, z, radius)` points whose radius changes along the way."""
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
    """The values of a map at columns `u` and rows `v`; beyond its border they stay as at the border."""
    return np.asarray(cv2.remap(map_, u, v, method, borderMode=cv2.BORDER_REPLICATE), np.float32)


def smooth(map_: Plane, pixels: float) -> Plane:
    """A map blurred by a Gaussian of this standard deviation."""
    return np.asarray(cv2.GaussianBlur(map_, (0, 0), pixels), np.float32)


class Cloud:
    """A smooth random field through the head, of mean 0 and standard deviation about 1."""

    EXTENT_MM = 280.0

    def __init__(self, rng: np.random.Generator, grain_mm: float) -> None:
        self._grain_mm = grain_mm
        n = int(self.EXTENT_MM / grain_mm) + 3
        # Interpolation between nodes lowers the spread: 1.6 brings it back. Extremes would tear anatomy apart.
        self._nodes = np.clip(rng.standard_normal((n, n, n), dtype=np.float32), -1.6, 1.6) * 1.6

    def at(self, p: Points) -> Plane:
        """The field on a plane, `[H, W]`, which is taken as level: fine for noise, and three times as fast."""
        u, v, w = ((c + self.EXTENT_MM / 2) * (1 / self._grain_mm) for c in (p.x, p.y, p.z))
        level = float(np.clip(w.mean(), 0, len(self._nodes) - 1.001))
        below = int(level)
        part = level - below
        nodes = self._nodes[below] * (1 - part) + self._nodes[below + 1] * part
        return sample(nodes, u, v, cv2.INTER_CUBIC)
