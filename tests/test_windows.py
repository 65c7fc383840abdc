import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichtune.errors import InputError
from ichtune.windows import Window, apply_window, undo_window

hounsfield = arrays(np.int16, (4, 5), elements=st.integers(-1024, 3071))
windows = st.builds(Window, st.integers(-200, 800), st.integers(1, 3000))


def test_the_brain_window_shows_0_to_80_hu():
    grey = apply_window(np.array([-1000, 0, 20, 40, 80, 3000], np.int16), Window.parse("brain"))
    np.testing.assert_allclose(grey, [0, 0, 0.25, 0.5, 1, 1])


@given(hounsfield, windows)
def test_a_window_keeps_the_order_of_hu_and_stays_within_0_and_1(hu, window):
    grey = apply_window(hu, window)
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert (np.diff(grey.ravel()[np.argsort(hu, axis=None)]) >= 0).all()


@given(arrays(np.uint8, (4, 5)), windows)
def test_undoing_a_window_and_applying_it_again_gives_the_grey_values_back(grey, window):
    again = apply_window(undo_window(grey, window), window) * 255
    assert np.abs(again - grey).max() <= 255 / window.width  # rounding to whole HU


@pytest.mark.parametrize("text", ["brian", "40", "40/0", "40/-5", "a/b", "nan/80", "40/80/1"])
def test_a_window_that_is_none_is_an_error_with_its_text(text):
    with pytest.raises(InputError, match=text):
        Window.parse(text)
