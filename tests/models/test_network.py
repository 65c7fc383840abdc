"""A network trains its heads, and of its backbone what it is asked to."""

import pytest
import torch
from torch import nn

from ichtune.models.backbones import build_backbone
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import Model


def images_to_features() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Flatten())


def test_dropout_multiplies_the_features():
    network = Network(None, LinearHeads(4, [0, 1], seed=0))
    inputs, mask = torch.ones(6, 4), torch.zeros(2, 3, 4)
    mask[1, :, 0] = 2.0
    logits = network(inputs, mask)
    torch.testing.assert_close(logits[0], network.heads.export(0).bias.expand(3, 6))
    expected = network.heads.export(1)(torch.tensor([2.0, 0, 0, 0])).expand(3, 6)
    torch.testing.assert_close(logits[1], expected)


def test_a_frozen_backbone_stays_in_evaluation_mode_and_without_gradient():
    network = Network(images_to_features().requires_grad_(False), LinearHeads(4, [0], seed=0)).train()
    before = network.backbone[1].running_mean.clone()
    network(torch.randn(3, 1, 2, 2)).sum().backward()
    assert network.training
    assert not network.backbone.training
    assert torch.equal(network.backbone[1].running_mean, before)
    assert not network.features(torch.randn(3, 1, 2, 2)).requires_grad


def test_a_trained_backbone_gets_gradients_and_follows_the_mode():
    network = Network(images_to_features(), LinearHeads(4, [0], seed=0)).train()
    network(torch.randn(3, 1, 2, 2)).square().sum().backward()
    assert network.backbone.training
    assert network.backbone[0].weight.grad is not None
    gradients = [parameter.grad.flatten() for parameter in network.parameters()]
    torch.testing.assert_close(network.gradient_norms(), torch.cat(gradients).norm().unsqueeze(0))


def test_a_trained_backbone_predicts_in_float32_and_a_frozen_one_as_its_bank():
    images = torch.rand(2, 3, 32, 32)
    for train, agrees_with in (("last", "float32"), ("frozen", "bfloat16")):
        rounding, expected = (
            build_backbone(Model(weights="random", size=32, train=train), seed=0, precision=precision).eval()
            for precision in ("bfloat16", agrees_with)
        )
        network = Network(rounding, LinearHeads(rounding.width, [0], seed=0)).eval()
        with torch.no_grad(), network.exact():
            torch.testing.assert_close(network.features(images), expected(images))
        assert rounding.precision == "bfloat16"


def test_each_fold_trains_its_head_and_the_backbones_free_part():
    backbone = images_to_features()
    backbone[0].requires_grad_(False)
    network = Network(backbone, LinearHeads(4, [0], seed=0))
    assert [list(p.shape) for p in network.trained_parameters(0)] == [[5, 6], [4], [4]]


def test_the_trained_state_is_what_training_changes_and_can_be_loaded():
    def partly_frozen(seed: int) -> Network:
        backbone = images_to_features()
        backbone[0].requires_grad_(False)
        return Network(backbone, LinearHeads(4, [0], seed))

    network, other = partly_frozen(0), partly_frozen(1)
    network.backbone[1].running_mean.fill_(3.0)
    state = network.trained_state()
    assert "backbone.0.weight" not in state
    other.load_trained_state(state)
    assert torch.equal(other.heads.state(0)["weights"], network.heads.state(0)["weights"])
    assert torch.equal(other.backbone[1].running_mean, torch.full((4,), 3.0))


def test_the_state_of_a_network_with_other_trained_parts_is_an_error():
    state = Network(images_to_features(), LinearHeads(4, [0], 0)).trained_state()
    with pytest.raises(ValueError, match="other trained parameters"):
        Network(None, LinearHeads(4, [0], 0)).load_trained_state(state)


def test_what_is_trained_of_the_backbone_can_change():
    backbone = build_backbone(Model(weights="random", size=32), seed=0, precision="float32")
    network = Network(backbone, LinearHeads(backbone.width, [0], 0)).train()
    whole = len(list(backbone.parameters()))
    trained = {}
    for train in ("frozen", "last", "all", "frozen"):
        network.set_trained(train)
        trained[train] = len(network.trained_parameters(0)) - 1
        assert network.training
        assert network.features(torch.rand(2, 1, 32, 32)).requires_grad == (train != "frozen")
    assert trained == {"frozen": 0, "last": 15, "all": whole}


def test_heads_on_features_have_no_backbone_to_train():
    network = Network(None, LinearHeads(4, [0], 0))
    network.set_trained("frozen")
    with pytest.raises(ValueError, match="no backbone to train"):
        network.set_trained("all")


def small_swin(seed: int) -> nn.Module:
    """A Swin transformer of two blocks, whose window masks and position indices are buffers outside its state."""
    from timm.models.swin_transformer import SwinTransformer

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SwinTransformer(
            img_size=32, window_size=4, depths=(2,), embed_dim=8, num_heads=(2,), num_classes=0
        )


def test_a_trained_swin_goes_on_from_its_saved_state(tmp_path):
    trained, fresh = (Network(small_swin(seed), LinearHeads(8, [0], seed=seed)) for seed in (0, 1))
    images, targets = torch.rand(4, 3, 32, 32), torch.ones(4, 6)
    optimizer = torch.optim.Adam(trained.trained_parameters(0), lr=1e-2)
    nn.functional.binary_cross_entropy_with_logits(trained.train()(images)[0], targets).backward()
    optimizer.step()
    torch.save(trained.trained_state(), tmp_path / "state.pt")
    fresh.load_trained_state(torch.load(tmp_path / "state.pt", weights_only=True))
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(images), trained.eval()(images))
    unsaved = {name for name, _ in trained.named_buffers()} - trained.state_dict().keys()
    assert any("attn_mask" in name for name in unsaved)
    assert not unsaved & trained.trained_state().keys()
