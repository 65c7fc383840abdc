"""Images augmented by a list of transforms."""

import numpy as np
import pytest

from ichtune.inputs.augment import describe, render
from ichtune.recipe import Augmentation
from ichtune.recipe.transforms import COMPOSITIONS, KINDS
from ichtune.windows import WINDOWS

BRAIN, SOFT = WINDOWS["brain"], WINDOWS["soft"]
NEEDED = {"CropAndPad": {"percent": -0.1}, "Affine": {"rotate": 20}}
"""Arguments without which a transform does nothing."""


def level(*transforms) -> Augmentation:
    return Augmentation.parse({"name": "mine", "transforms": list(transforms)})


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(40, 30, (96, 96)).astype(np.int16)


def of_kind(kind: str) -> Augmentation:
    if kind in COMPOSITIONS:
        return level({kind: {"transforms": ["VerticalFlip", {"Rotate": {"p": 1}}], "p": 1}})
    return level({kind: {**NEEDED.get(kind, {}), "p": 1}})


@pytest.mark.parametrize("kind", KINDS)
def test_every_transform_changes_all_windows_alike_and_keeps_the_size(kind: str):
    mine, plain = of_kind(kind), render([noise()], [BRAIN, SOFT], 64)
    pictures = [render([noise()], [BRAIN, SOFT], 64, level=mine, row=row) for row in range(4)]
    assert any((picture != plain).any() for picture in pictures)
    for row, picture in enumerate(pictures):
        assert picture.shape == (2, 64, 64)
        assert picture.dtype == np.uint8
        for channel, window in zip(picture, (BRAIN, SOFT), strict=True):
            alone = render([noise()], [window], 64, level=mine, row=row)[0]
            # OpenCV interpolates one channel and several with different precision: on noise, by up to 5 grey values.
            assert np.abs(channel.astype(int) - alone).max() <= 8


def test_a_view_is_fixed_by_seed_transforms_view_and_row():
    mine, first = level({"ElasticTransform": {"alpha": 30, "p": 1}}), {"seed": 1, "view": 2, "row": 3}
    picture = render([noise()], [BRAIN], 64, level=mine, **first)
    np.testing.assert_array_equal(picture, render([noise()], [BRAIN], 64, level=mine, **first))
    renamed = Augmentation.parse({**mine.model_dump(), "name": "other"})
    np.testing.assert_array_equal(picture, render([noise()], [BRAIN], 64, level=renamed, **first))
    for name in first:
        other = render([noise()], [BRAIN], 64, level=mine, **{**first, name: 9})
        assert (picture != other).any(), name


def test_a_certain_flip_mirrors_the_slice():
    flipped = render([noise()], [BRAIN], 64, level=level({"HorizontalFlip": {"p": 1}}))
    np.testing.assert_array_equal(flipped, render([noise()], [BRAIN], 64)[..., ::-1])


def test_a_crop_is_resized_to_the_size_of_the_model():
    assert "size=(96, 96)" in describe(level("RandomResizedCrop"), 96)[0]
