"""Where a model's evidence is in a slice."""

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import About, Preprocessing, read_about
from ichtune.inference.activation_maps import METHODS, activation_maps, check_maps
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_ensemble
from ichtune.inference.trained_model import TrainedModel
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.recipe import GRU, Model
from tests.made_up.models import RECIPE, write_model_folder

SUBDURAL = 4
HU = np.random.default_rng(3).integers(-20, 180, (4, 64, 64)).astype(np.int16)
Layout = int | Literal["channels first", "channels last"]
"""Where a layer's output has its positions; a number: tokens, with so many before those of the patches."""
# One backbone of each kind, with the last layer that has a grid, as its library's source says, and its layout.
FAMILIES: dict[str, tuple[int, str, Layout]] = {
    "resnet18": (96, "layer4", "channels first"),
    "densenet121": (96, "features", "channels first"),
    "efficientnet_b0": (96, "features", "channels first"),
    "mobilenet_v3_small": (96, "features", "channels first"),
    "vgg11": (224, "avgpool", "channels first"),
    "squeezenet1_1": (96, "classifier.2", "channels first"),
    "convnext_tiny": (96, "features", "channels first"),
    "swin_t": (96, "permute", "channels first"),
    "maxvit_t": (224, "blocks.3", "channels first"),
    "vit_b_32": (224, "encoder.layers.encoder_layer_11.ln_1", 1),
    "efficientnet_lite0": (96, "bn2", "channels first"),
    "cnn5": (96, "4.3", "channels first"),
    "fcn": (64, "3", "channels first"),
    "timm/resnet18": (96, "layer4", "channels first"),
    "timm/convnext_atto": (96, "norm_pre", "channels first"),
    "timm/vit_tiny_patch16_224": (96, "blocks.11.norm1", 1),
    "timm/vit_small_patch16_dinov3": (96, "norm", 5),
    "timm/deit_tiny_distilled_patch16_224": (96, "blocks.11.norm1", 2),
    "timm/swin_tiny_patch4_window7_224": (224, "norm", "channels last"),
    "timm/mixer_s32_224": (224, "norm", 0),
}


@pytest.fixture(scope="module")
def about(tmp_path_factory: pytest.TempPathFactory) -> About:
    return read_about(write_model_folder(tmp_path_factory.mktemp("any") / "model"))


class Blinkers:
    """Keeps one position of a layer's output, and the tokens before the patches; `open` or not even that one."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.open = True
        self.side = 0

    @property
    def spot(self) -> tuple[int, int]:
        """Off centre and not symmetrical, so that a turned or mirrored map would be noticed."""
        return self.side // 3, self.side - 1

    def __call__(self, _layer: torch.nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        tokens = isinstance(self.layout, int)
        self.side = math.isqrt(output.shape[1] - self.layout) if tokens else output.shape[2]
        mask = torch.zeros(self.side, self.side)
        mask[self.spot] = float(self.open)
        if tokens:
            return output * torch.cat([torch.ones(self.layout), mask.flatten()])[:, None]
        return output * (mask if self.layout == "channels first" else mask[..., None])


def looking_at_one_spot(name: str, about: About) -> tuple[TrainedModel, Blinkers]:
    """A model that by construction looks at one spot of its last feature map, and the spot.

    Its backbone is random and its head's weights are what the spot adds to the features.
    """
    size, layer, layout = FAMILIES[name]
    backbone = build_backbone(Model(backbone=name, weights="random", size=size), seed=0, precision="float32")
    linear = torch.nn.Linear(backbone.width, 6)
    network = Classifier(backbone, linear).eval().requires_grad_(False)
    seen = about.model_copy(
        update={
            "recipe": about.recipe.model_copy(update={"model": Model(backbone=name, size=size)}),
            "preprocessing": Preprocessing(windows=("80/200",), size=size),
        }
    )
    model = TrainedModel(seen, (network,), torch.device("cpu"))
    blinkers = Blinkers(layout)
    backbone.network.get_submodule(layer).register_forward_hook(blinkers)
    (features,) = next(iter(model.features(HU[:1], np.arange(1), None)))
    blinkers.open = False
    (without,) = next(iter(model.features(HU[:1], np.arange(1), None)))
    blinkers.open = True
    linear.weight[SUBDURAL] = torch.nn.functional.normalize(features - without)[0]
    return model, blinkers


@pytest.mark.parametrize("name", FAMILIES)
def test_the_map_of_a_model_that_looks_at_one_spot_peaks_there(name: str, about: About):
    model, blinkers = looking_at_one_spot(name, about)
    assert check_maps(model, "subdural", "hirescam", None) == (FAMILIES[name][1],)
    for method in METHODS:
        (heat,) = activation_maps(model, HU[:1], label="subdural", method=method)
        assert (heat.shape, heat.dtype) == ((64, 64), np.float32)
        peak = np.unravel_index(heat.argmax(), heat.shape)
        assert tuple(int(place) * blinkers.side // 64 for place in peak) == blinkers.spot
        assert 0.9 < heat.max() <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet18 with a linear head; nobody writes into it."""
    recipe = RECIPE.model_copy(update={"model": RECIPE.model.model_copy(update={"size": 64})})
    return write_model_folder(tmp_path_factory.mktemp("written") / "model", recipe)


@pytest.mark.parametrize("method", METHODS)
def test_behind_an_average_and_a_linear_head_both_are_the_class_activation_map(folder: Path, method: str):
    """Zhou et al. (CVPR 2016): the features of each position, weighted by the head."""
    model = TrainedModel.open(folder)
    (network,), kept = model.networks, []
    network.backbone.network.get_submodule("layer4").register_forward_hook(
        lambda _, __, out: kept.append(out)
    )
    (heat,) = activation_maps(model, HU[:1], label="subdural", method=method)
    own = (network.head.weight[SUBDURAL][:, None, None] * kept[-1][0].detach()).sum(0).clamp(min=0).numpy()
    # The corners of the enlarged 2 x 2 map are the positions themselves.
    np.testing.assert_allclose(heat[[0, 0, -1, -1], [0, -1, 0, -1]], (own / own.max()).ravel(), atol=1e-4)


def test_maps_do_not_depend_on_the_slices_beside_them(folder: Path):
    model = TrainedModel.open(folder)
    together = activation_maps(model, HU, label="any")
    np.testing.assert_allclose(
        activation_maps(model, HU, np.array([2]), label="any"), together[2:3], atol=1e-4
    )
    assert activation_maps(model, HU, np.array([], int)).shape == (0, 64, 64)


def test_the_map_of_an_ensemble_is_the_mean_of_its_members(tmp_path: Path):
    whole = tmp_path / "ensemble"
    whole.mkdir()
    for seed in (0, 1):
        write_model_folder(whole / f"fold{seed}", seed=seed)
    about = read_about(whole / "fold0").model_dump(exclude={"weights_sha256", "members", "format"})
    write_ensemble(whole, ("fold0", "fold1"), **about)
    members = [
        activation_maps(TrainedModel.open(whole / name), HU, layer="layer2") for name in ("fold0", "fold1")
    ]
    np.testing.assert_allclose(
        activation_maps(TrainedModel.open(whole), HU, layer="layer2"), np.mean(members, axis=0), atol=1e-4
    )


@pytest.fixture
def reader(about: About) -> TrainedModel:
    """A small network with a GRU along the scan."""
    recipe = about.recipe.model_copy(
        update={
            "head": GRU(hidden=8),
            "model": Model(backbone="cnn5", weights="random", size=64, windows=("brain",)),
        }
    )
    seen = about.model_copy(update={"recipe": recipe, "preprocessing": Preprocessing.of(recipe.model)})
    backbone = build_backbone(recipe.model, seed=0, precision="float32")
    network = Classifier(backbone, make_heads(recipe, backbone.width, [0]).export(0))
    return TrainedModel(seen, (network.eval().requires_grad_(False),), torch.device("cpu"))


def test_a_head_that_reads_scans_is_followed_back_to_the_slice(reader: TrainedModel):
    """Its logit for slice 1 by a GRU over the scan: activation times gradient, by torch alone."""
    model, (network,) = reader, reader.networks
    backbone = network.backbone
    maps = activation_maps(model, HU, np.arange(4), label="subdural", layer="2")

    images = next(iter(model.images(HU, None).batches([np.arange(4)], None)))
    outputs = backbone.network[:3](backbone.normalized(images)).requires_grad_()
    logits = network.head(backbone.network[3:](outputs).flatten(1))
    (gradient,) = torch.autograd.grad(logits[1, SUBDURAL], outputs)
    expected = (gradient * outputs).sum(1)[1].clamp(min=0).detach().numpy()
    corners = expected[[0, 0, -1, -1], [0, -1, 0, -1]] / expected.max()
    np.testing.assert_allclose(maps[1][[0, 0, -1, -1], [0, -1, 0, -1]], corners, atol=1e-4)


def test_each_slice_of_a_store_is_explained_within_its_own_scan(reader: TrainedModel, prepared: SliceStore):
    first, second = (prepared.scans.rows(scan) for scan in (0, 1))
    rows = np.array([second[1], first[2], second[0]])
    maps = activation_maps(reader, prepared.hu, rows, scans=prepared.scans, layer="2")
    alone = [activation_maps(reader, prepared.hu, each, layer="2") for each in (first, second)]
    np.testing.assert_allclose(maps, [alone[1][1], alone[0][2], alone[1][0]], atol=1e-4)
    assert maps.max(axis=(1, 2)).min() > 0.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": "subdual"}, "--label: 'subdual' is not one of .* did you mean 'subdural'"),
        ({"method": "cam"}, "--method: 'cam' is not one of hirescam, gradcam"),
        ({"layer": "layer5"}, "--layer: this network has no layer 'layer5'; did you mean 'layer"),
        ({"layer": "avgpool"}, r"--layer avgpool: its output \[1, 512, 1, 1\] has no grid"),
    ],
)
def test_what_a_model_does_not_have_is_refused(folder: Path, wrong: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        activation_maps(TrainedModel.open(folder), HU, **wrong)
