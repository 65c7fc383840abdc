"""Which models have activation maps for the page, and how these are fitted to a slice."""

from pathlib import Path

import numpy as np
import pytest

from ichtune.inference.trained_model import TrainedModel
from ichtune.recipe import Model, Recipe
from ichtune.viewer.maps import has_maps, on_slice
from tests.made_up.models import write_model_folder


@pytest.mark.parametrize("backbone", ["cnn5", "timm/vit_tiny_patch16_224", "timm/mixer_s32_224"])
def test_backbones_whose_positions_are_a_grid_have_maps(tmp_path: Path, backbone: str):
    model = Model(backbone=backbone, weights="random", size=224)
    assert has_maps(TrainedModel.open(write_model_folder(tmp_path / "model", Recipe(model=model))))


def test_a_map_of_the_padded_square_is_cut_to_the_slice():
    found = np.zeros((4, 4), np.float32)
    found[0] = 1  # in the padding above
    found[2, 3] = 0.5
    np.testing.assert_array_equal(on_slice(found, (2, 4)), [[0, 0, 0, 0], [0, 0, 0, 128]])
