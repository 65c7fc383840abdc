"""Activation maps are those of the Grad-CAM paper, for heads that see one slice and for those that read scans."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import resnet18

from ichtune.data.scans import Scans
from ichtune.inference.model_folder import write_ensemble
from ichtune.inference.trained_model import TrainedModel
from ichtune.recipe import Model, Recipe, Training
from ichtune.viewer.maps import ActivationMaps, has_maps, last_layer, on_slice
from tests.made_up.models import write_model_folder
from tests.made_up.viewers import write_scan_reader

SIZE, SLICES = 96, 5
MODEL = Model(weights="random", windows=("subdural",), size=SIZE, train="all")
RECIPE = Recipe(model=MODEL, training=Training(precision="float32"))
HU = np.random.default_rng(3).integers(-50, 250, (SLICES, SIZE, SIZE)).astype(np.int16)


def one_scan() -> Scans:
    columns = {"source": "", "patient_id": "p", "study_id": "", "series_id": "s"}
    return Scans.of(pd.DataFrame({**columns, "z_mm": np.arange(SLICES, dtype=float), "fold": 0}))


def maps_of(folder: Path) -> ActivationMaps:
    return ActivationMaps(TrainedModel.open(folder), HU, np.arange(SLICES), one_scan())


def grown(small: torch.Tensor) -> np.ndarray:
    """A map [h, w] without its negative part, in the slice's size, highest at 1."""
    large = torch.nn.functional.interpolate(small.relu()[None, None], (SIZE, SIZE), mode="bilinear")[0, 0]
    return (large / large.max()).numpy()


def resnet_of(folder: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    """Torchvision's own network with a model's weights up to its last activations, and the head's weights [6, 512]."""
    weights = load_file(folder / "weights.safetensors")
    network = resnet18(num_classes=6).eval()
    network.load_state_dict(
        {key[17:]: tensor for key, tensor in weights.items() if key.startswith("backbone.network.")}
        | {"fc.weight": weights["head.weight"], "fc.bias": weights["head.bias"]}
    )
    return torch.nn.Sequential(*list(network.children())[:-2]), weights["head.weight"]


def activations(layers: torch.nn.Module, place: int) -> torch.Tensor:
    """[512, 3, 3] of a slice: window 80/200 is -20..180 HU, and random weights go with mean and deviation 0.5."""
    grey = torch.from_numpy(np.rint(np.clip((HU[place] + 20) / 200, 0, 1) * 255)).float() / 255
    with torch.no_grad():
        return layers(((grey - 0.5) / 0.5).expand(1, 3, -1, -1))[0]


def test_under_a_linear_head_the_map_is_the_class_activation_map(tmp_path: Path):
    # Zhou et al. 2016: after average pooling, the head's weights say what each channel adds at each place.
    folder = write_model_folder(tmp_path / "model", RECIPE)
    layers, weights = resnet_of(folder)
    for place, label in [(0, 0), (3, 5)]:
        expected = grown(torch.einsum("c,chw->hw", weights[label], activations(layers, place)))
        np.testing.assert_allclose(maps_of(folder).of(place, label), expected, atol=1e-4)


def test_the_map_of_an_ensemble_is_the_mean_of_its_members(tmp_path: Path):
    folder = tmp_path / "both"
    folder.mkdir()
    summed = torch.zeros(3, 3)
    for seed in (0, 1):
        member = write_model_folder(folder / f"fold{seed}", RECIPE, seed)
        layers, weights = resnet_of(member)
        summed += torch.einsum("c,chw->hw", weights[2], activations(layers, 1)).relu()
    about = TrainedModel.open(member).about
    kept = {
        name: getattr(about, name)
        for name in ("preprocessing", "recipe", "fingerprint", "origin", "versions")
    }
    write_ensemble(folder, ["fold0", "fold1"], **kept)
    np.testing.assert_allclose(maps_of(folder).of(1, 2), grown(summed), atol=1e-4)


@pytest.mark.parametrize("head", ["gru", "attention", "conv"])
def test_under_a_head_that_reads_scans_a_map_is_of_the_slices_own_answer(tmp_path: Path, head: str):
    maps = maps_of(write_scan_reader(tmp_path / "model", RECIPE, head))
    network, place, label = maps.model.networks[0], 2, 1
    layers = torch.nn.Sequential(*list(network.backbone.network.children())[:-2])
    seen = torch.stack([activations(layers, number) for number in range(SLICES)])
    features = seen.mean(dim=(2, 3)).double()

    def logit(changed: torch.Tensor) -> float:
        return network.head.double()(changed, np.array([SLICES]))[place, label].item()

    slopes = differences(logit, features, place)
    network.head.float()
    expected = grown(torch.einsum("c,chw->hw", slopes.float(), seen[place]))
    np.testing.assert_allclose(maps.of(place, label), expected, atol=2e-3)


def differences(function: Callable[[torch.Tensor], float], features: torch.Tensor, row: int) -> torch.Tensor:
    """How much a function of features [K, D] grows with each feature of a row, by central differences."""
    step, slopes = 1e-5, torch.zeros(features.shape[1], dtype=torch.double)
    for channel in range(features.shape[1]):
        ends = []
        for sign in (1, -1):
            changed = features.clone()
            changed[row, channel] += sign * step
            with torch.no_grad():
                ends.append(function(changed))
        slopes[channel] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def test_a_map_leaves_the_model_as_it_was(tmp_path: Path):
    maps = maps_of(write_model_folder(tmp_path / "model", RECIPE))
    before = maps.model.predict(HU)
    maps.of(0, 0)
    np.testing.assert_array_equal(maps.model.predict(HU), before)
    assert not any(module._forward_hooks for module in maps.model.networks[0].modules())


@pytest.mark.parametrize("backbone", ["timm/vit_tiny_patch16_224", "timm/mixer_s32_224", "swin_t"])
def test_backbones_that_mix_places_have_no_maps(tmp_path: Path, backbone: str):
    model = Model(backbone=backbone, weights="random", size=224)
    assert not has_maps(TrainedModel.open(write_model_folder(tmp_path / "model", Recipe(model=model))))


@pytest.mark.parametrize(
    "backbone", ["resnet18", "squeezenet1_1", "efficientnet_lite0", "fcn", "timm/resnet10t"]
)
def test_the_features_are_the_mean_of_the_layer_that_maps_are_made_of(tmp_path: Path, backbone: str):
    model = Model(backbone=backbone, weights="random", size=SIZE)
    folder = write_model_folder(
        tmp_path / "model", Recipe(model=model, training=Training(precision="float32"))
    )
    opened = TrainedModel.open(folder)
    assert has_maps(opened)
    network, images, seen = opened.networks[0].backbone, torch.rand(1, 1, SIZE, SIZE), []
    hook = last_layer(network, images).register_forward_hook(lambda *called: seen.append(called[-1]))
    features = network(images.requires_grad_())
    hook.remove()
    np.testing.assert_allclose(seen[0].mean((2, 3)).detach(), features.detach(), atol=1e-4)


def test_a_map_of_the_padded_square_is_cut_to_the_slice():
    found = np.zeros((4, 4), np.float32)
    found[0] = 1  # in the padding above
    found[2, 3] = 0.5
    np.testing.assert_array_equal(on_slice(found, (2, 4)), [[0, 0, 0, 0], [0, 0, 0, 128]])
