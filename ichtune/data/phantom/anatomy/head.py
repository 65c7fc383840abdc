"""A whole made-up head: skull, brain and bleeds."""

from collections.abc import Sequence

import cv2
import numpy as np

from ichtune.data.phantom.anatomy.blood import Bleed
from ichtune.data.phantom.anatomy.brain import Brain
from ichtune.data.phantom.anatomy.shapes import Plane, Points, mix, share
from ichtune.data.phantom.anatomy.skull import AIR_HU, HALF_WIDTH, REACH_Y, Skull
from ichtune.data.phantom.anatomy.traits import Traits


class Head:
    """One patient's head, with its bleeds from the outermost to the innermost."""

    def __init__(self, traits: Traits, bleeds: Sequence[Bleed], rng: np.random.Generator) -> None:
        self.skull, self.brain = Skull(traits, rng), Brain(traits, rng)
        self.bleeds = bleeds

    def at(self, p: Points) -> tuple[Plane, dict[str, Plane]]:
        """Return the head at the voxels `p` `[H, W]` in HU, and the share (0..1) of each kind of blood."""
        hu = np.full_like(p.x, AIR_HU)
        blood = {bleed.kind: np.zeros_like(p.x) for bleed in self.bleeds}
        outer = _box((np.abs(p.x) < HALF_WIDTH) & (p.y > REACH_Y[0]) & (p.y < REACH_Y[1]))
        p = p.crop(outer)
        hu[outer], depth = self.skull.at(p)
        inner = _box(depth > -2)
        p, depth = p.crop(inner), depth[inner]
        if depth.size:
            tissue, covers = self._contents(p, depth)
            hu[outer][inner] = mix(hu[outer][inner], tissue, share(depth))
            for kind, cover in covers.items():
                blood[kind][outer][inner] = cover
        return hu, blood

    def _contents(self, p: Points, depth: Plane) -> tuple[Plane, dict[str, Plane]]:
        if not self.bleeds:
            return self.brain.at(p, depth).hu, {}
        rough = self.brain.rough(p)
        before, room, wider = p, depth, np.zeros((), np.float32)
        depths = []
        for bleed in self.bleeds:
            before = bleed.before(before)
            wider = wider + bleed.widens_mm(p, rough)
            depths.append(room)
            room = room - bleed.lifts_mm(p, rough)
        contents = self.brain.at(before, room, wider)
        hu = contents.hu
        for bleed in self.bleeds:
            hu = bleed.swells(hu, p, rough)
        covers = {}
        for bleed, below in zip(self.bleeds, depths, strict=True):
            covers[bleed.kind] = bleed.cover(p, below, contents, rough)
            hu = mix(hu, bleed.hu + 2 * rough, covers[bleed.kind])
        return hu, covers


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the bounding box of a mask."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(top, top + height), slice(left, left + width)
