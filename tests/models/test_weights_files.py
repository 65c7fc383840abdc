"""Our own weights format, and files of other people's with the same prefix."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ichtune.models.backbones import build_backbone
from ichtune.models.weights_files import WeightsError, load_classifier, read_weights, write_classifier
from ichtune.recipe import Model

MODEL = Model(backbone="resnet18", weights="random", size=64)


def classifier(seed: int) -> nn.ModuleDict:
    return nn.ModuleDict({"backbone": build_backbone(MODEL, seed=seed), "head": nn.Linear(512, 6)})


def from_file(path: Path) -> str:
    return build_backbone(MODEL.model_copy(update={"weights": str(path)}), seed=0).weights_hash()


def test_a_written_classifier_is_read_back_whole_and_as_a_backbone(tmp_path):
    file, written, loaded = tmp_path / "w.safetensors", classifier(3), classifier(4)
    write_classifier(file, written)
    load_classifier(file, loaded)
    for name, tensor in written.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert from_file(file) == written["backbone"].weights_hash()


def test_the_keys_are_those_of_earlier_versions(tmp_path):
    write_classifier(tmp_path / "w.safetensors", classifier(3))
    keys = load_file(tmp_path / "w.safetensors").keys()
    assert {
        "backbone.mean",
        "backbone.std",
        "backbone.network.conv1.weight",
        "head.weight",
        "head.bias",
    } <= keys


def test_a_published_network_under_the_same_prefix_has_imagenet_statistics(tmp_path):
    state = build_backbone(MODEL, seed=3).network.state_dict()
    save_file(state, tmp_path / "plain.safetensors")
    save_file({f"backbone.{key}": tensor for key, tensor in state.items()}, tmp_path / "prefixed.safetensors")
    assert from_file(tmp_path / "plain.safetensors") == from_file(tmp_path / "prefixed.safetensors")


def test_a_text_file_is_refused_without_advice_to_run_what_it_holds(tmp_path):
    (tmp_path / "weights.pth").write_text("name: mine\nmetric: auc\n")
    with pytest.raises(WeightsError, match="not a file of weights") as refused:
        read_weights(tmp_path / "weights.pth")
    assert "weights_only" not in str(refused.value)
