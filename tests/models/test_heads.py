"""A stack of linear heads is as many linear layers, and any head goes through a file."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from ichtune.models.heads import Heads, LinearHeads
from ichtune.models.heads.saved import pack, unpack


class Hidden(Heads):
    """Heads with a hidden layer of three, as another kind than the linear one."""

    def __init__(self, width: int, folds: Sequence[int], seed: int) -> None:
        super().__init__(width, folds)
        draw = torch.Generator().manual_seed(seed)
        self.hidden = nn.ParameterList(torch.randn(width, 3, generator=draw) for _ in folds)
        self.output = nn.ParameterList(torch.randn(3, 6, generator=draw) for _ in folds)

    def _logits(self, inputs: torch.Tensor, *_: object) -> torch.Tensor:
        return inputs @ torch.stack(tuple(self.hidden)) @ torch.stack(tuple(self.output))

    def _one(self, head: int, inputs: torch.Tensor, _sizes: object) -> torch.Tensor:
        return inputs @ self.hidden[head] @ self.output[head]

    def _export(self, head: int) -> nn.Module:
        raise NotImplementedError


def test_linear_heads_are_a_linear_layer_a_fold():
    heads = LinearHeads(8, [0, 1, 2], seed=0)
    features = torch.linspace(-1, 1, 3 * 5 * 8).reshape(3, 5, 8)
    logits = heads(features)
    for head in range(3):
        torch.testing.assert_close(logits[head], heads.export(head)(features[head]))
        torch.testing.assert_close(heads.one(head, features[head]), logits[head])


def test_an_exported_head_is_a_copy_and_takes_no_random_numbers():
    heads, before = LinearHeads(8, [0], seed=0), torch.random.get_rng_state()
    linear = heads.export(0)
    nn.init.zeros_(linear.weight)
    assert heads.export(0).weight.abs().max() > 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_heads_start_as_torchs_linear_layers_do():
    linear = LinearHeads(100, [0], seed=0).export(0)
    # Uniform within 1/sqrt(100): standard deviation 0.1/sqrt(3).
    for values in (linear.weight, linear.bias):
        assert values.abs().max() <= 0.1
    assert linear.weight.std().item() == pytest.approx(0.0577, rel=0.1)


def test_a_start_depends_on_seed_and_fold_alone():
    def start(seed: int, folds: list[int], head: int) -> torch.Tensor:
        return LinearHeads(8, folds, seed).export(head).weight

    assert torch.equal(start(0, [0, 1, 2], 2), start(0, [2], 0))
    assert not torch.equal(start(0, [2], 0), start(1, [2], 0))
    assert not torch.equal(start(0, [2], 0), start(0, [1], 0))


@pytest.mark.parametrize("kind", [LinearHeads, Hidden])
def test_a_head_can_be_loaded_from_a_file_of_all_folds(kind):
    heads, others = kind(8, range(11), seed=0), kind(8, [0], seed=1)
    others.load(0, unpack(pack([heads.state(head) for head in range(11)]), 1))
    features = torch.linspace(-1, 1, 16).reshape(2, 8)
    assert torch.equal(others.one(0, features), heads.one(1, features))


def test_a_state_stays_what_it_was():
    heads = LinearHeads(8, [0], seed=0)
    state, before = heads.state(0), heads.weights[0].detach().clone()
    nn.init.zeros_(heads.weights[0])
    assert torch.equal(state["weights"], before)


def test_a_file_names_a_linear_head_by_its_fold_and_the_parts_of_others():
    linear, hidden = LinearHeads(8, [0, 1], seed=0), Hidden(8, [0], seed=0)
    assert {name: list(head.shape) for name, head in pack([linear.state(0), linear.state(1)]).items()} == {
        "fold0": [9, 6],
        "fold1": [9, 6],
    }
    assert list(pack([hidden.state(0)])) == ["fold0.hidden", "fold0.output"]


def test_a_fold_that_a_file_lacks_is_an_error():
    heads = LinearHeads(8, range(11), seed=0)
    with pytest.raises(KeyError, match="fold1"):
        unpack(pack([heads.state(0)]), 1)


@pytest.mark.parametrize("other", [LinearHeads(9, [0], seed=0), Hidden(8, [0], seed=0)])
def test_a_head_of_another_width_or_kind_is_an_error(other):
    with pytest.raises(ValueError, match=r"parameters are \{'weights': \[9, 6\]\}, got \{'"):
        LinearHeads(8, [0], seed=0).load(0, other.state(0))


@pytest.mark.parametrize("kind", [LinearHeads, Hidden])
def test_a_heads_gradient_norm_is_that_of_all_its_parameters(kind):
    heads = kind(8, [0, 1], seed=0)
    heads(torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    for head, norm in enumerate(heads.gradient_norms()):
        gradients = [parameter.grad.flatten() for parameter in heads.parameters_of(head)]
        torch.testing.assert_close(norm, torch.cat(gradients).norm())
