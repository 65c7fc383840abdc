from collections import Counter

import cv2
import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from ichtune.inputs.augment import describe, render
from ichtune.windows import WINDOWS

BRAIN, SUBDURAL, SOFT = (WINDOWS[name] for name in ("brain", "subdural", "soft"))
VIEWS = 240


def smooth(seed: int = 0, size: int = 64) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(40, 60, (12, 12)).astype(np.float32)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.int16)


def views(hu: np.ndarray, level: str, size: int = 224, count: int = VIEWS) -> list[np.ndarray]:
    return [render([hu], [BRAIN], size, level=level, view=view)[0] for view in range(count)]


def is_upright(picture: np.ndarray) -> bool:
    """For a picture that is nowhere dark: a rotation darkens all corners."""
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
    return corners.max() > np.median(picture) / 3


def test_normal_windows_the_slice_and_changes_nothing_else():
    hu = np.array([[-1000, 0, 8, 40], [72, 80, 81, 3000]] * 2, np.int16)
    expected = np.array([[0, 0, 26, 128], [230, 255, 255, 255]] * 2, np.uint8)
    np.testing.assert_array_equal(render([hu], [BRAIN], 4)[0], expected)


def test_a_slice_shrinks_by_the_mean_hounsfield_units_of_an_area():
    hu = np.zeros((4, 4), np.int16)
    hu[:2, :2] = [[-1000, 1000], [80, 80]]  # mean 40; the windowed pixels' mean would be 60
    assert render([hu], [BRAIN], 2)[0].tolist() == [[128, 0], [0, 0]]


def test_a_view_is_fixed_by_seed_level_view_and_row():
    first = {"level": "moderate", "seed": 1, "view": 2, "row": 3}
    picture = render([smooth()], [BRAIN], 64, **first)
    np.testing.assert_array_equal(picture, render([smooth()], [BRAIN], 64, **first))
    for name, value in {"level": "aggressive", "seed": 2, "view": 3, "row": 4}.items():
        others = [
            render([smooth()], [BRAIN], 64, **{**first, name: value, "seed": seed}) for seed in (1, 5, 6)
        ]
        assert any((picture != other).any() for other in others), name


@pytest.mark.parametrize("level", ["normal", "moderate", "aggressive"])
def test_every_window_is_changed_as_it_would_be_alone(level):
    for row in range(40):
        together = render([smooth(row)], [BRAIN, SUBDURAL, SOFT], 64, level=level, row=row)
        assert together.shape == (3, 64, 64)
        for channel, window in zip(together, (BRAIN, SUBDURAL, SOFT), strict=True):
            np.testing.assert_array_equal(
                channel, render([smooth(row)], [window], 64, level=level, row=row)[0]
            )


def bar_angle(picture: np.ndarray) -> float:
    """Degrees that the bright bar's long axis is off the horizontal."""
    y, x = np.nonzero(picture > 200)
    axis = np.linalg.eigh(np.cov(x, y))[1][:, -1]
    return float(np.degrees(np.arctan(axis[1] / axis[0])))


@pytest.mark.parametrize("level", ["moderate", "aggressive"])
def test_half_of_the_slices_are_rotated_and_half_flipped_independently(level):
    hu = np.zeros((224, 224), np.int16)
    hu[108:116, 40:184] = 80
    hu[116:146, 140:156] = 80  # makes left and right differ
    upright = bar_angle(render([hu], [BRAIN], 224)[0])
    seen, angles = Counter(), []
    for picture in views(hu, level):
        flipped = (picture[:, :112] > 200).sum() > (picture[:, 112:] > 200).sum()
        angle = bar_angle(picture) - (-upright if flipped else upright)
        seen[bool(flipped), abs(angle) > 1.5] += 1
        angles.append(abs(angle))
    # 1.5 of 15 degrees count as none: 0.45 rotated; a quarter each within four standard deviations.
    assert all(0.13 < seen[flipped, rotated] / VIEWS < 0.40 for flipped in (0, 1) for rotated in (0, 1)), seen
    assert np.percentile(angles, 97) > 12
    assert np.percentile(angles, 97) < 16.5  # holes in the bar tilt its axis a little


@pytest.mark.parametrize(
    ("level", "size", "smallest", "largest"),
    [("moderate", 224, 7, 7), ("moderate", 448, 14, 14), ("moderate", 32, 1, 1), ("aggressive", 224, 17, 26)],
)
def test_half_of_the_slices_lose_holes_that_scale_with_the_image(level, size, smallest, largest):
    bright = np.full((32, 32), 60, np.int16)
    pictures = [picture for picture in views(bright, level, size) if is_upright(picture)]
    counts, sides = [], []
    for picture in pictures:
        components, count = label(picture == 0, np.ones((3, 3)))
        if count:
            counts.append(count)
            boxes = [[part.stop - part.start for part in box] for box in find_objects(components)]
            areas = [(components == number).sum() for number in range(1, count + 1)]
            # Holes that touch make one shape of more than a hole's sides.
            sides += [
                side for box, area in zip(boxes, areas, strict=True) if area <= largest**2 for side in box
            ]
    assert 0.33 < len(counts) / len(pictures) < 0.67
    assert max(counts) == 6
    assert {3, 4, 5} & set(counts)
    assert Counter(counts)[1] + Counter(counts)[2] < 0.25 * len(counts)
    common = [side for side, times in Counter(sides).items() if times > 0.01 * len(sides)]
    assert min(common) == smallest
    assert np.median(sides) == pytest.approx((smallest + largest) / 2, abs=1.5)


def test_a_fifth_of_the_slices_are_blurred_at_the_aggressive_level_only():
    noise = np.random.default_rng(0).integers(30, 60, (224, 224)).astype(np.int16)

    def share_of_blurred(level: str) -> float:
        pictures = [picture.astype(float) for picture in views(noise, level) if is_upright(picture)]
        # For independent pixels the median step is about 0.6 of the interquartile range, whatever their contrast.
        steps = [np.median(np.abs(np.diff(p))) / np.subtract(*np.percentile(p, [75, 25])) for p in pictures]
        return float(np.mean(np.array(steps) < 0.45))

    assert share_of_blurred("moderate") == 0
    assert 0.1 < share_of_blurred("aggressive") < 0.35


def test_brightness_and_tone_have_limits_that_the_aggressive_level_widens():
    def shifts(level: str) -> np.ndarray:
        ramp = np.tile(np.linspace(30, 60, 64).astype(np.int16), (64, 1))
        plain = np.median(render([ramp], [BRAIN], 64))
        pictures = [picture for picture in views(ramp, level, 64) if is_upright(picture)]
        return np.array([abs(float(np.median(picture)) - plain) for picture in pictures])

    moderate, aggressive = shifts("moderate"), shifts("aggressive")
    assert 0.4 < np.mean(moderate > 1) < 0.85  # one of brightness (0.3) and tone (0.5) acts on 0.65
    assert moderate.max() < 45
    # Brightness 0.15 alone moves grey values by up to 38 of 255, brightness 0.05 by 13.
    assert np.percentile(aggressive, 95) > np.percentile(moderate, 95) + 5


def test_a_level_tells_its_settings():
    assert describe("normal", 224) == []
    assert "hole_height_range=(14, 14)" in describe("moderate", 448)[-1]
    assert "limit=(-15.0, 15.0)" in describe("aggressive", 224)[0]
