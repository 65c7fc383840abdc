"""Test-time augmentation averages over views of the same slices, and says which."""

import numpy as np
import pytest

from ichtune.inference.trained_model import TrainedModel
from ichtune.prediction.inputs import Chunk
from ichtune.prediction.panel import Panel
from ichtune.prediction.views import describe, views

HU = np.random.default_rng(3).integers(-50, 250, (2, 32, 32)).astype(np.int16)


def test_slices_are_seen_mirrored_and_shifted_by_a_pixel_of_32_with_air_behind():
    as_is, mirrored, up, down, left, right = (view(HU) for view in views(["flips", "shifts"]))
    np.testing.assert_array_equal(as_is, HU)
    np.testing.assert_array_equal(mirrored, np.flip(HU, 2))
    air = np.full((2, 1, 32), -1000)
    np.testing.assert_array_equal(up, np.concatenate([HU[:, 1:], air], 1))
    np.testing.assert_array_equal(down, np.concatenate([air, HU[:, :-1]], 1))
    np.testing.assert_array_equal(left, np.concatenate([HU[:, :, 1:], air.transpose(0, 2, 1)], 2))
    np.testing.assert_array_equal(right, np.concatenate([air.transpose(0, 2, 1), HU[:, :, :-1]], 2))


def test_a_probability_is_the_mean_over_the_views(model):
    panel, alone = Panel.open([model], views(["flips"])), TrainedModel.open(model)
    expected = (alone.predict(HU) + alone.predict(HU[:, :, ::-1].copy())) / 2
    _raw, calibrated = panel.predict(Chunk({}, {32: HU}))
    np.testing.assert_allclose(calibrated, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["flips"], "the mean of 2 views of the slices: as they are, and mirrored left to right"),
        (["shifts"], "the mean of 5 views of the slices: as they are, and shifted by 1/32 of their side"),
    ],
)
def test_what_is_averaged_is_said(names, words):
    assert words in describe(names)
