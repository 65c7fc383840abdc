"""The position of a head in the scanner, and the images that the scanner makes of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from ichtune.data.phantom.anatomy.shapes import Plane, Points, mix, share
from ichtune.data.phantom.anatomy.skull import AIR_HU, REACH_Y

HEADREST_HU: Final = 150.0
GRID: Final = 256  # heads are drawn on at most this many rows and then enlarged: a head CT is no sharper


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One examination, with images of `size` x `size` pixels of `spacing_mm`."""

    size: int
    spacing_mm: float
    table_mm: float  # the table's position along its travel
    to_head: npt.NDArray[np.float32]  # [3, 3], from the scanner's frame to the template head's
    shift_mm: tuple[float, float]
    noise_hu: float
    headrest_mm: float  # gap behind the head; 0 means no headrest

    @classmethod
    def draw(cls, rng: np.random.Generator, head_scale: tuple[float, float, float], size: int) -> "Scanner":
        """Draw a random position for a head of the given scale."""
        pitch, roll, yaw = np.deg2rad(rng.normal(0, [5, 2.5, 5]))
        (cp, cr, cy), (sp, sr, sy) = np.cos([pitch, roll, yaw]), np.sin([pitch, roll, yaw])
        turn = (
            np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
            @ np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
            @ np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        )
        return cls(
            size=size,
            spacing_mm=rng.uniform(0.45, 0.5) * 512 / size,
            table_mm=rng.uniform(-200, 200),
            to_head=(turn / np.array(head_scale)[:, None]).astype(np.float32),
            shift_mm=(rng.normal(0, 4), rng.normal(-5, 4)),
            noise_hu=rng.uniform(3, 5),
            headrest_mm=rng.uniform(1, 8) if rng.random() < 0.7 else 0.0,
        )

    def _plane(self) -> tuple[Plane, Plane]:
        grid = min(self.size, GRID)
        step = self.spacing_mm * self.size / grid
        across = (np.arange(grid, dtype=np.float32) - (grid - 1) / 2) * step
        x, y = np.meshgrid(across + self.shift_mm[0], across + self.shift_mm[1])
        return x, y

    def points(self, z_mm: float) -> Points:
        """Return the positions in the head of the voxels of the plane at this height of the scanner."""
        x, y = self._plane()
        px, py, pz = (row[0] * x + row[1] * y + row[2] * z_mm for row in self.to_head)
        return Points(px, py, pz)

    def picture(self, head: Plane, rng: np.random.Generator) -> npt.NDArray[np.int16]:
        """Return the image of a plane of a head in HU, `[S, S]`: with blur, beam hardening, noise and the headrest."""
        hu = _harden(np.maximum(head, self._headrest) if self.headrest_mm else head)
        hu = cv2.resize(hu, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        hu = cv2.GaussianBlur(hu, (0, 0), 0.7) + self.noise_hu * _noise(self.size, rng)
        return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)

    @cached_property
    def _headrest(self) -> Plane:
        """Return a thin shell around the back of the head, open to the front, in HU."""
        x, y = self._plane()
        radius = REACH_Y[1] + self.headrest_mm
        shell = np.minimum(1.5 - np.abs(np.hypot(x, y) - radius), y - 20)
        return mix(np.full_like(x, AIR_HU), HEADREST_HU, share(shell))


def _harden(hu: Plane) -> Plane:
    """Add beam hardening: soft tissue is brighter beside bone, and dark streaks join thick bones across the head."""
    bone = np.maximum(cv2.resize(hu, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) - 200, 0)
    bright = cv2.GaussianBlur(bone, (0, 0), 3) * 0.012
    dark = cv2.GaussianBlur(bone, (0, 0), sigmaX=14, sigmaY=0.8) * 0.012
    return hu + cv2.resize(bright - dark, hu.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _noise(size: int, rng: np.random.Generator) -> Plane:
    """Return CT noise of standard deviation 1, correlated between neighbours as after filtered back projection."""
    # Random bytes are ten times as fast as normal deviates, and normally distributed after blurring.
    white = np.frombuffer(rng.bytes(size * size), np.uint8).reshape(size, size).astype(np.float32)
    noise = cv2.GaussianBlur(white, (0, 0), 0.9) - 0.7 * cv2.GaussianBlur(white, (0, 0), 2.4)
    return (noise - noise.mean()) / noise.std()
