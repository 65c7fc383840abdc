"""A stack of heads is as many linear layers; a network leaves a frozen backbone alone."""

import pytest
import torch
from torch import nn

from ichtune.models.heads import HeadStack, Network


def linear(heads: HeadStack, head: int) -> nn.Linear:
    layer = nn.Linear(heads.width, 6)
    layer.load_state_dict(dict(zip(("weight", "bias"), heads.export(head), strict=True)))
    return layer


def test_a_stack_is_a_linear_layer_a_fold():
    heads = HeadStack(8, [0, 1, 2], seed=0)
    features = torch.linspace(-1, 1, 3 * 5 * 8).reshape(3, 5, 8)
    logits = heads(features)
    for head in range(3):
        torch.testing.assert_close(logits[head], linear(heads, head)(features[head]))
        torch.testing.assert_close(heads.one(head, features[head]), logits[head])


def test_heads_start_as_torchs_linear_layers_do():
    weight, bias = HeadStack(100, [0], seed=0).export(0)
    # Uniform within 1/sqrt(100): standard deviation 0.1/sqrt(3).
    for values in (weight, bias):
        assert values.abs().max() <= 0.1
    assert weight.std().item() == pytest.approx(0.0577, rel=0.1)


def test_a_start_depends_on_seed_and_fold_alone():
    def start(seed: int, folds: list[int], head: int) -> torch.Tensor:
        return HeadStack(8, folds, seed).export(head)[0]

    assert torch.equal(start(0, [0, 1, 2], 2), start(0, [2], 0))
    assert not torch.equal(start(0, [2], 0), start(1, [2], 0))
    assert not torch.equal(start(0, [2], 0), start(0, [1], 0))


def test_an_exported_head_can_be_loaded():
    heads, others = HeadStack(8, [0, 1], seed=0), HeadStack(8, [0], seed=1)
    others.load(0, *heads.export(1))
    assert torch.equal(others.weights[0], heads.weights[1])


def test_a_head_of_another_width_is_an_error():
    with pytest.raises(ValueError, match=r"takes weight \[6, 8\] and bias \[6\], got \[6, 9\] and \[6\]"):
        HeadStack(8, [0], seed=0).load(0, *HeadStack(9, [0], seed=0).export(0))


def images_to_features() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Flatten())


def test_dropout_multiplies_the_features():
    network = Network(None, HeadStack(4, [0, 1], seed=0))
    inputs, mask = torch.ones(6, 4), torch.zeros(2, 3, 4)
    mask[1, :, 0] = 2.0
    logits = network(inputs, mask)
    torch.testing.assert_close(logits[0], linear(network.heads, 0).bias.expand(3, 6))
    expected = linear(network.heads, 1)(torch.tensor([2.0, 0, 0, 0])).expand(3, 6)
    torch.testing.assert_close(logits[1], expected)


def test_a_frozen_backbone_stays_in_evaluation_mode_and_without_gradient():
    network = Network(images_to_features().requires_grad_(False), HeadStack(4, [0], seed=0)).train()
    before = network.backbone[1].running_mean.clone()
    network(torch.randn(3, 1, 2, 2)).sum().backward()
    assert network.training
    assert not network.backbone.training
    assert torch.equal(network.backbone[1].running_mean, before)
    assert not network.features(torch.randn(3, 1, 2, 2)).requires_grad


def test_a_trained_backbone_gets_gradients_and_follows_the_mode():
    network = Network(images_to_features(), HeadStack(4, [0], seed=0)).train()
    network(torch.randn(3, 1, 2, 2)).square().sum().backward()
    assert network.backbone.training
    assert network.backbone[0].weight.grad is not None
    gradients = [parameter.grad.flatten() for parameter in network.parameters()]
    torch.testing.assert_close(network.gradient_norms(), torch.cat(gradients).norm().unsqueeze(0))


def test_each_fold_trains_its_head_and_the_backbones_free_part():
    backbone = images_to_features()
    backbone[0].requires_grad_(False)
    network = Network(backbone, HeadStack(4, [0], seed=0))
    assert [list(p.shape) for p in network.trained_parameters(0)] == [[5, 6], [4], [4]]


def test_the_trained_state_is_what_training_changes_and_can_be_loaded():
    def partly_frozen(seed: int) -> Network:
        backbone = images_to_features()
        backbone[0].requires_grad_(False)
        return Network(backbone, HeadStack(4, [0], seed))

    network, other = partly_frozen(0), partly_frozen(1)
    network.backbone[1].running_mean.fill_(3.0)
    state = network.trained_state()
    assert "backbone.0.weight" not in state
    other.load_trained_state(state)
    assert torch.equal(other.heads.weights[0], network.heads.weights[0])
    assert torch.equal(other.backbone[1].running_mean, torch.full((4,), 3.0))


def test_the_state_of_a_network_with_other_trained_parts_is_an_error():
    state = Network(images_to_features(), HeadStack(4, [0], 0)).trained_state()
    with pytest.raises(ValueError, match="other trained parts"):
        Network(None, HeadStack(4, [0], 0)).load_trained_state(state)
