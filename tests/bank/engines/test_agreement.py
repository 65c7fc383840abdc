"""Engines compute what torch computes."""

import subprocess
import sys

import pytest
import torch

from ichtune.bank.engines import start as starting
from ichtune.bank.engines.agreement import difference
from ichtune.bank.engines.cuda_graph import CudaGraph
from ichtune.bank.engines.kinds import ENGINES
from ichtune.bank.engines.protocol import EngineError
from ichtune.bank.engines.start import STARTERS, start
from ichtune.errors import InputError
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.recipe import Model, Precision

NETWORKS = (
    "resnet18",
    "efficientnet_lite0",
    "timm/convnext_atto",
    "timm/vit_tiny_patch16_224",
    "cnn5",
    "fcn",
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def images(count: int, channels: int = 1, size: int = 64) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def backbone(name: str = "cnn5", precision: Precision = "float32", channels: int = 1) -> Backbone:
    windows = ("brain", "subdural", "bone")[:channels]
    model = Model(backbone=name, weights="random", size=64, windows=windows)
    return build_backbone(model, seed=0, precision=precision).eval()


def cosines(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.cosine_similarity(one.double(), other.double())


def test_every_engine_has_a_starter():
    assert list(ENGINES) == list(STARTERS)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_an_engines_features_are_torchs_for_any_number_of_images(name, engine):
    exact = backbone(name)
    expected = exact(images(5)).cpu()
    ready = start(engine, exact, images(2), network=name, threads=1)
    for count in (5, 1, 3):
        features = ready(images(5)[:count])
        assert features.dtype == torch.float32
        torch.testing.assert_close(features, expected[:count], rtol=1e-3, atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize("channels", [2, 3])
@torch.no_grad()
def test_an_engine_takes_two_and_three_windows(channels):
    exact = backbone("resnet18", channels=channels)
    seen = images(3, channels)
    ready = start("openvino", exact, seen, network="resnet18", threads=1)
    torch.testing.assert_close(ready(seen), exact(seen), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "timm/vit_tiny_patch16_224", "fcn"])
@torch.no_grad()
def test_bfloat16_costs_an_engine_no_more_than_its_rounding(name):
    exact = backbone(name).computed(images(4), "float32")
    try:
        ready = start("openvino", backbone(name, "bfloat16"), images(4), network=name, threads=1)
    except EngineError as error:
        pytest.skip(str(error))  # on a CPU without it
    assert cosines(ready(images(4)), exact).min() > 0.999
    assert difference(ready(images(4)), exact) > 1e-5  # else it computed in float32


def test_the_difference_is_relative_to_the_norm():
    expected = torch.tensor([[3.0, 4.0], [0.0, 10.0]])
    found = torch.tensor([[3.0, 4.5], [0.0, 10.0]])
    assert difference(found, expected) == pytest.approx(0.5 / 5)
    assert difference(2 * expected, expected) == pytest.approx(1)  # whose cosine is 1
    assert difference(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda features: features.roll(1, 0),
        lambda features: 1.1 * features,
        lambda features: features * torch.nan,
    ],
)
def test_an_engine_with_other_features_is_refused(monkeypatch, spoil):
    def spoiled(backbone: Backbone, images: torch.Tensor, threads: int):
        return lambda images: spoil(backbone(images))

    monkeypatch.setattr(starting, "STARTERS", {"openvino": spoiled})
    with pytest.raises(
        EngineError, match=r"openvino can't compute cnn5 here \(its features differ .*engine torch"
    ):
        start("openvino", backbone(), images(4), network="cnn5", threads=1)


class Sorted(torch.nn.Module):
    """A layer that can't be converted: a Python function that torch doesn't know."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(features.numpy().copy()) if features.sum() > -1e9 else features


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_network_that_an_engine_cannot_convert_is_named(engine):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1), Sorted())
    half = torch.full((1,), 0.5)
    odd = Backbone(network, (half, half), width=4, precision="float32", channels=1).eval()
    with pytest.raises(
        EngineError, match=rf"--engine: {engine} can't compute odd here \(.+\); use --engine torch"
    ):
        start(engine, odd, images(2) ** 4, network="odd", threads=1)  # unlike their negatives


def test_an_engine_that_is_not_installed_is_named_with_its_packages(monkeypatch):
    monkeypatch.setattr("ichtune.bank.engines.kinds.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match="onnxruntime is not installed here: pip install onnxruntime onnx onnxscript"
    ):
        start("onnxruntime", backbone(), images(2), network="cnn5", threads=1)


def test_openvino_reports_nothing_to_its_makers():
    code = (
        "import sys, torch; from ichtune.bank.engines.openvino_engine import OpenVinoEngine as E\n"
        "from ichtune.models.backbones import build_backbone; from ichtune.recipe import Model\n"
        "b = build_backbone(Model(backbone='cnn5', weights='random', size=32), seed=0, precision='float32').eval()\n"
        "E(b, torch.rand(2, 1, 32, 32), 1)\n"
        "print([name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@needs_gpu
@torch.no_grad()
def test_a_cuda_graph_replays_what_the_network_computes():
    network = backbone("resnet18").cuda()
    seen = images(8).cuda()
    graph = CudaGraph(network, seen[:4])
    assert graph.replays
    for part in (seen[:4], seen[4:], seen[:3]):
        assert difference(graph(part), network(part)) < 1e-3
    first = graph(seen[:4])
    kept = first.clone()
    graph(seen[4:])
    assert torch.equal(first, kept)


@needs_gpu
@torch.no_grad()
def test_what_cannot_be_recorded_is_computed_directly():
    graph = CudaGraph(lambda batch: batch.flatten(1) * batch.sum().item(), images(4).cuda())
    assert not graph.replays
    assert graph(images(4).cuda()).shape == (4, 64 * 64)
