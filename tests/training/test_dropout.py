"""Dropout masks keep what they say, on average as much, and depend on their key alone."""

import numpy as np
import pytest

from ichtune.training.dropout import DropoutMasks


def masks(rate: float, folds: list[int], counts: list[int], epoch: int = 0, seed: int = 0) -> np.ndarray:
    return DropoutMasks(rate, folds, seed=seed, epoch=epoch).draw(np.array(counts), 500).numpy()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_dropped_is_the_rate_and_the_mean_stays(rate):
    mask = masks(rate, [0], [400])
    # 200,000 draws: five standard errors are below 0.0056 for the share.
    assert abs((mask == 0).mean() - rate) < 0.006
    assert mask.max() == pytest.approx(1 / (1 - rate), rel=1e-4)
    assert abs(mask.mean() - 1) < 0.006 / (1 - rate)


def test_a_rate_next_to_one_still_keeps_something():
    assert np.isfinite(masks(0.999999, [0], [4])).all()


def test_a_folds_mask_is_the_same_alone_and_beside_others():
    both = masks(0.3, [2, 7], [3, 5])
    np.testing.assert_array_equal(both[0, :3], masks(0.3, [2], [3])[0])
    np.testing.assert_array_equal(both[1], masks(0.3, [7], [5])[0])


def test_steps_epochs_folds_and_seeds_have_masks_of_their_own():
    stream = DropoutMasks(0.5, [0], seed=0, epoch=0)
    drawn = [stream.draw(np.array([4]), 500).numpy() for _ in range(2)]
    drawn += [masks(0.5, [0], [4], epoch=1), masks(0.5, [1], [4]), masks(0.5, [0], [4], seed=1)]
    for position, mask in enumerate(drawn):
        assert not any(np.array_equal(mask, other) for other in drawn[:position])
