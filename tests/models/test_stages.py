"""The stages of a network are its own blocks, and how far each is from the head decides its rate."""

import pytest
import timm
import torch
from timm.models import group_parameters

from ichtune.errors import InputError
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.stages import distances, stages
from ichtune.recipe import Model


def built(name: str, size: int = 64, **more) -> Backbone:
    model = Model(backbone=name, weights="random", size=size, **more)
    return build_backbone(model, seed=1, precision="float32")


def first_names(name: str, size: int = 64) -> list[str]:
    """The name of the module that each stage begins with."""
    network = built(name, size).network
    names = {module: name for name, module in network.named_modules()}
    return [names[stage[0]] for stage in stages(network)]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
        ("densenet121", ["features.conv0", *(f"features.denseblock{number}" for number in (1, 2, 3, 4))]),
        ("efficientnet_b0", [f"features.{number}" for number in range(8)]),
        ("efficientnet_lite0", ["conv_stem", *(f"blocks.{number}" for number in range(7))]),
        ("cnn5", ["0", "1", "2", "3", "4"]),
        ("fcn", ["0", "1", "2", "3"]),
        (
            "vgg11",
            [*(f"features.{layer}" for layer in (0, 3, 6, 8, 11, 13, 16, 18)), "classifier"],
        ),
    ],
)
def test_the_stages_of_each_family(name: str, begins: list[str]):
    assert first_names(name) == begins


def test_a_transformers_blocks_are_stages_and_its_class_token_belongs_to_the_first():
    network = built("vit_b_32", size=224).network
    far = distances(network)
    assert len(stages(network)) == 13  # the patches' convolution and twelve blocks
    assert far[network.class_token] == far[network.conv_proj.weight] == 13
    assert far[network.encoder.ln.weight] == far[network.encoder.layers[11].ln_1.weight] == 1


# In these networks, what closes them (a norm, a convolution) is in the last group of timm's own as well.
@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "regnetx_002", "repvgg_a0"]
)
def test_the_stages_are_timms_own_groups_of_layers(name: str):
    network = timm.create_model(name, num_classes=0)
    theirs = group_parameters(network, network.group_matcher(coarse=True))
    groups = [theirs[key] for key in sorted(theirs)]
    far = distances(network)
    ours = [
        {own for own, parameter in network.named_parameters() if far[parameter] == distance}
        for distance in range(len(groups), 0, -1)
    ]
    assert ours == [set(group) for group in groups]


def test_a_number_trains_so_many_of_the_last_stages():
    own = built("resnet18", train=2)
    parts = {name.split(".")[1] for name, parameter in own.named_parameters() if parameter.requires_grad}
    assert parts == {"layer3", "layer4"}
    own.train()
    own(torch.rand(2, 1, 64, 64)).sum().backward()
    assert own.network.layer2[0].conv1.weight.grad is None
    assert not own.network.layer2.training
    assert own.network.layer3.training


def test_as_many_stages_as_there_are_is_refused():
    with pytest.raises(
        InputError,
        match=r"^model.train: resnet18 has 5 stages: train fewer of the last ones, or all of them; got 5$",
    ):
        built("resnet18", train=5)
