import subprocess
import sys
import urllib.error

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from ichtune.errors import InputError
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.weights_files import WeightsError
from ichtune.recipe import Model


def backbone(name: str = "resnet18", *, seed: int = 1, precision: str = "float32", **settings) -> Backbone:
    return build_backbone(
        Model(backbone=name, **{"weights": "random", "size": 64, **settings}), seed=seed, precision=precision
    )


def images(channels: int = 1, count: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 64, 64, generator=torch.Generator().manual_seed(0))


def torchvision_network(name: str, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_model(name).eval()


def shake_statistics(network: nn.Module) -> None:
    """Statistics as of a trained network: new ones are 0 and 1, with which batch normalisation does nothing."""
    generator = torch.Generator().manual_seed(5)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize(("name", "last"), [("resnet18", "fc"), ("densenet121", "classifier")])
def test_features_are_what_the_classifier_would_have_seen(name, last):
    network = torchvision_network(name, seed=1)
    seen = []
    getattr(network, last).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network((images().repeat(1, 3, 1, 1) - 0.5) / 0.5)
    built = backbone(name).eval()
    torch.testing.assert_close(built(images()), seen[0], rtol=1e-4, atol=1e-5)
    assert built.width == seen[0].shape[1]


@torch.no_grad()
def test_of_two_windows_the_first_comes_again_as_third_channel():
    built, three = backbone().eval(), images(3)
    two = three[:, :2]
    torch.testing.assert_close(built(two), built(three[:, [0, 1, 0]]), rtol=0, atol=0)
    assert (built(two) - built(three)).abs().max() > 1e-3


def test_random_weights_follow_the_seed_and_touch_no_other_random_numbers():
    before = torch.random.get_rng_state()
    hashes = [backbone(seed=seed).weights_hash() for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.random.get_rng_state(), before)


@torch.no_grad()
def test_the_hash_tells_weights_apart():
    built = backbone()
    before = built.weights_hash()
    built.network.layer4[1].bn2.running_mean[7] += 1e-3
    assert built.weights_hash() != before


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("resnet18", {"layer4"}),
        ("densenet121", {"features.denseblock4", "features.norm5"}),
        ("efficientnet_b0", {"features.7", "features.8"}),
        ("mobilenet_v3_small", {"features.11", "features.12", "classifier.0"}),
        ("convnext_tiny", {"features.7", "classifier.0"}),
        ("shufflenet_v2_x0_5", {"stage4", "conv5"}),
        ("squeezenet1_1", {"features.12"}),
    ],
)
def test_the_last_stage_is_the_last_block_and_what_follows_it(name, trained):
    names = [
        name for name, parameter in backbone(name, train="last").named_parameters() if parameter.requires_grad
    ]
    assert all(any(name.startswith(f"network.{part}.") for part in trained) for name in names), names
    assert all(any(name.startswith(f"network.{part}.") for name in names) for part in trained), names


@pytest.mark.parametrize(
    ("train", "moving"), [("frozen", set()), ("last", {"layer4"}), ("all", {"bn1", "layer1", "layer4"})]
)
def test_statistics_and_weights_of_frozen_parts_do_not_move(train, moving):
    built = backbone(train=train).train()
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    features = built(images())
    if train != "frozen":
        features.sum().backward()
        torch.optim.SGD([p for p in built.parameters() if p.requires_grad], lr=0.1).step()
    moved = {
        name.split(".")[1] for name, now in built.state_dict().items() if not torch.equal(now, before[name])
    }
    assert moved >= moving
    assert train == "all" or moved == moving
    assert features.requires_grad == (train != "frozen")


def test_the_dropout_before_the_classifier_is_gone():
    built = backbone("mobilenet_v3_small", train="all").train()
    torch.testing.assert_close(built(images()), built(images()), rtol=0, atol=0)


def test_folded_batch_norms_give_the_same_features():
    for name in ("resnet18", "mobilenet_v3_small"):
        built = backbone(name).eval()
        shake_statistics(built)
        plain = built(images())
        with torch.no_grad():
            folded = built(images())
        torch.testing.assert_close(folded, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


@torch.no_grad()
def test_features_follow_weights_that_are_loaded_later():
    for load in (
        lambda built, state: built.load_state_dict(state),
        lambda built, state: nn.ModuleDict({"backbone": built}).load_state_dict(
            {f"backbone.{key}": tensor for key, tensor in state.items()}
        ),
    ):
        built, other = backbone(seed=1).eval(), backbone(seed=2).eval()
        before = built(images())
        load(built, other.state_dict())
        torch.testing.assert_close(built(images()), other(images()), rtol=0, atol=0)
        assert not torch.equal(built(images()), before)


def test_features_follow_weights_that_were_trained_meanwhile():
    built = backbone().eval()
    with torch.no_grad():
        before = built(images())
    built.set_trained("all")
    built(images()).sum().backward()
    torch.optim.SGD(built.parameters(), lr=0.1).step()
    built.set_trained("frozen")
    plain = built(images())
    with torch.no_grad():
        torch.testing.assert_close(built(images()), plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    assert not torch.allclose(plain, before, rtol=1e-3)


@torch.no_grad()
def test_features_follow_a_backbone_that_moves():
    built = backbone().eval()
    exact = built(images())
    doubled = built.to(torch.float64)(images().double())
    torch.testing.assert_close(doubled, exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))


@torch.no_grad()
def test_a_frozen_backbone_is_not_checked_at_every_forward(monkeypatch):
    built = backbone().eval()
    first = built(images())
    monkeypatch.setattr(built, "network", None)
    assert torch.equal(built(images()), first)


@torch.no_grad()
def test_bfloat16_rounds_and_features_are_float32():
    exact, rounded = backbone().eval()(images()), backbone(precision="bfloat16").eval()(images())
    assert rounded.dtype == torch.float32
    error = torch.linalg.vector_norm(rounded - exact) / torch.linalg.vector_norm(exact)
    assert 1e-4 < error < 0.03  # bfloat16 rounds by up to 2**-9 = 0.002 in each of 18 layers


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty cache of weights, and no network."""

    def no_network(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


@torch.no_grad()
def test_imagenet_weights_go_with_imagenet_normalisation(torch_home):
    network = torchvision_network("resnet18", seed=7)
    url = get_model_weights("resnet18").DEFAULT.url
    torch.save(network.state_dict(), torch_home / url.rpartition("/")[2])
    network.fc = nn.Identity()
    # Mean and deviation of ImageNet as the ResNet authors and torchvision's documentation give them.
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = network((images(3) - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    built = backbone(weights="imagenet").eval()
    torch.testing.assert_close(built(images(3)), expected, rtol=1e-4, atol=1e-5)
    assert list(get_model_weights("efficientnet_v2_l").DEFAULT.transforms().mean) == [0.5, 0.5, 0.5]


def test_weights_that_cannot_be_fetched_are_an_error_with_the_ways_out(torch_home):
    with pytest.raises(WeightsError) as caught:
        backbone(weights="imagenet")
    message = str(caught.value)
    assert "--set model.weights=random" in message
    assert "--set model.weights=PATH" in message
    assert "resnet18-f37072fd.pth" in message
    assert str(torch_home) in message


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_a_downloaded_file_is_taken_as_torchvision_saved_it(tmp_path, name):
    state = torchvision_network(name, seed=7).state_dict()
    if name == "densenet121":  # its published file has names of torch 0.3
        state = {
            key.replace("norm1", "norm.1").replace("conv2", "conv.2"): value for key, value in state.items()
        }
    state = {key: value for key, value in state.items() if "num_batches" not in key}
    torch.save(state, tmp_path / "weights.pth")
    from_file = backbone(name, weights=str(tmp_path / "weights.pth")).state_dict()
    for key, tensor in backbone(name, seed=7).state_dict().items():
        assert key in ("mean", "std") or torch.equal(tensor, from_file[key]), key
    assert from_file["mean"].flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_weights_of_ours_bring_their_normalisation(tmp_path, prefix):
    built = backbone(seed=7)
    state = {prefix + key: tensor for key, tensor in built.state_dict().items()}
    if prefix:
        state["heads.weights.0"] = torch.zeros(513, 6)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    loaded = backbone(weights=str(tmp_path / "model.safetensors"))
    assert loaded.weights_hash() == built.weights_hash()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda: torchvision_network("resnet34", 0).state_dict(),
            r"not the weights of resnet18.* unexpected \(layer1.2",
        ),
        (lambda: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, r"missing \(bn1.weight, bn1.bias, "),
        (lambda: {"conv1.weight": torch.zeros(64, 1, 7, 7)}, "size mismatch for conv1.weight"),
        (lambda: {"epoch": 3, "model": {}}, "plain state dict"),
    ],
)
def test_a_file_of_other_weights_is_refused(tmp_path, content, message):
    torch.save(content(), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=message):
        backbone(weights=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="not a file of weights"):
        backbone(weights=str(tmp_path / name))


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(WeightsError, match="'imagenett' is neither imagenet, random nor an existing file"):
        backbone(weights="imagenett")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "did you mean 'resnet1"),
        ("fasterrcnn_resnet50_fpn", "not for classification"),
        ("quantized_resnet18", "not for classification"),
        ("inception_v3", "auxiliary"),
        ("zzz", "use one such as resnet18"),
    ],
)
def test_a_name_that_is_no_backbone_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        backbone(name)


def test_a_size_that_the_network_cannot_take_is_refused_with_one_that_fits():
    with pytest.raises(InputError, match=r"can't take images of 64 x 64 .*--set model.size=224"):
        backbone("maxvit_t")


def test_no_backbone_takes_torchs_compiler_along():
    script = """
import sys, torch
from ichtune.recipe import Model
from ichtune.models.backbones import build_backbone
backbone = build_backbone(Model(backbone="resnet18", weights="random", size=32), seed=0)
images = torch.rand(2, 3, 32, 32)
with torch.no_grad():
    backbone(images)
backbone.set_trained("all")
backbone.train()(images).sum().backward()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
