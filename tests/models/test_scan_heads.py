"""Heads that read scans: torch's own layers on each scan alone, whatever else is in the batch."""

import numpy as np
import pytest
import torch
from torch import nn

from ichtune.models.heads import make_heads
from ichtune.models.heads.layers import encoded
from ichtune.models.heads.saved import pack, unpack
from ichtune.recipe import GRU, LSTM, MLP, Attention, Conv, Head, Linear, Recipe

WIDTH = 8
SIZES = [3, 1, 5]
KINDS = [
    GRU(hidden=6, layers=2),
    GRU(hidden=6, bidirectional=False),
    LSTM(hidden=6, layers=2, differences=True),
    LSTM(hidden=6, bidirectional=False),
    Attention(hidden=8, heads=2, layers=2),
    Conv(hidden=6, kernel=3, layers=2, differences=True),
    GRU(hidden=4, normalize="layer"),
]
every_kind = pytest.mark.parametrize("head", KINDS, ids=lambda head: head.name)


def heads_of(head: Head, folds: list[int] = [0], width: int = WIDTH):  # noqa: B006
    return make_heads(Recipe(head=head), width, folds).eval()


def features(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))


@every_kind
def test_a_scan_has_the_same_logits_alone_and_beside_longer_ones(head: Head):
    heads, inputs = heads_of(head), features(9)
    together = heads.one(0, inputs, SIZES)
    apart = [heads.one(0, scan) for scan in inputs.split(SIZES)]
    torch.testing.assert_close(together, torch.cat(apart))


@every_kind
def test_folds_side_by_side_compute_what_each_computes_alone(head: Head):
    heads = heads_of(head, [0, 1, 2])
    sizes = [np.array(SIZES), np.array([4]), np.array([], np.int64)]
    inputs = torch.stack([features(9, seed) for seed in range(3)])
    inputs[1, 4:], inputs[2] = torch.inf, torch.inf  # what is beyond a fold's scans doesn't matter
    logits = heads(inputs, None, sizes)
    torch.testing.assert_close(logits[0], heads.one(0, inputs[0], SIZES), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logits[1, :4], heads.one(1, inputs[1, :4]), rtol=1e-4, atol=1e-6)
    assert logits.shape == (3, 9, 6)
    assert torch.equal(logits[2], torch.zeros(9, 6))


@every_kind
def test_folds_side_by_side_have_the_gradients_that_each_has_alone(head: Head):
    together, apart = heads_of(head, [0, 1]), [heads_of(head, [fold]) for fold in (0, 1)]
    inputs = torch.stack([features(9, seed) for seed in range(2)])
    sizes = [np.array(SIZES), np.array([2, 7])]
    weights = torch.linspace(-1, 1, 9 * 6).view(9, 6)
    (together(inputs, None, sizes) * weights).sum().backward()
    for fold, alone in enumerate(apart):
        (alone.one(0, inputs[fold], sizes[fold]) * weights).sum().backward()
        for own, expected in zip(together.parameters_of(fold), alone.parameters_of(0), strict=True):
            torch.testing.assert_close(own.grad, expected.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.gradient_norms()[fold], alone.gradient_norms()[0])


@every_kind
def test_a_slice_hears_of_its_own_scan_alone(head: Head):
    heads, inputs = heads_of(head), features(9)
    changed = inputs.clone()
    changed[3] += 1  # the scan of one slice
    before, after = heads.one(0, inputs, SIZES), heads.one(0, changed, SIZES)
    differ = (before != after).any(dim=1)
    assert differ[3]
    torch.testing.assert_close(before[:3], after[:3])
    torch.testing.assert_close(before[4:], after[4:])


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_a_recurrent_head_is_torchs_layer_and_a_linear_one(kind):
    heads, inputs = heads_of(kind(hidden=6)), features(5)
    state = heads.state(0)
    layer = {"gru": nn.GRU, "lstm": nn.LSTM}[kind().name](WIDTH, 6, bidirectional=True, batch_first=True)
    prefix = "layers.0.recurrent."
    layer.load_state_dict({name.removeprefix(prefix): t for name, t in state.items() if prefix in name})
    expected = layer(inputs[None])[0][0] @ state["output.weight"].T + state["output.bias"]
    torch.testing.assert_close(heads(inputs[None])[0], expected)


def test_a_convolution_sees_the_slices_within_its_kernel():
    heads, inputs = heads_of(Conv(hidden=6, kernel=3)), features(7)
    changed = inputs.clone()
    changed[2] += 1
    differ = (heads.one(0, inputs) != heads.one(0, changed)).any(dim=1)
    assert differ.tolist() == [False, True, True, True, False, False, False]


def test_differences_are_to_the_slices_below_and_above():
    heads, inputs = heads_of(Conv(hidden=6, kernel=1, differences=True)), features(3)
    state = heads.state(0)
    zero = torch.zeros(WIDTH)
    below = torch.stack([zero, inputs[1] - inputs[0], inputs[2] - inputs[1]])
    above = torch.stack([inputs[0] - inputs[1], inputs[1] - inputs[2], zero])
    weight = state["layers.0.convolution.weight"][:, :, 0]
    hidden = torch.cat([inputs, below, above], dim=1) @ weight.T + state["layers.0.convolution.bias"]
    expected = hidden.relu() @ state["output.weight"].T + state["output.bias"]
    torch.testing.assert_close(heads.one(0, inputs), expected)


def test_dropping_a_feature_drops_its_differences_too():
    heads, inputs = heads_of(GRU(hidden=6, differences=True)), features(5)
    dropout = torch.ones(1, 5, WIDTH)
    dropout[..., 2] = 0
    other = inputs.clone()
    other[:, 2] = torch.arange(5.0)
    torch.testing.assert_close(heads(inputs[None], dropout), heads(other[None], dropout))


def test_places_are_encoded_as_in_the_paper():
    # Section 3.5 of "Attention is all you need": sin and cos of place / 10000^(2i / width).
    expected = [np.sin(3), np.cos(3), np.sin(3 / 100), np.cos(3 / 100)]
    np.testing.assert_allclose(encoded(torch.tensor([3]), 4)[0], expected, rtol=1e-6)


def test_attention_without_positions_does_not_know_the_order():
    inputs, order = features(5), torch.tensor([3, 0, 4, 1, 2])
    for positions in (False, True):
        heads = heads_of(Attention(hidden=8, heads=2, positions=positions))
        same = torch.allclose(heads.one(0, inputs)[order], heads.one(0, inputs[order]), atol=1e-5)
        assert same is not positions


@pytest.mark.parametrize(
    "head", [*KINDS, MLP(hidden=5), Linear(normalize="standard"), MLP(normalize="standard")]
)
def test_a_head_goes_through_a_file_and_out_as_a_plain_module(head: Head):
    heads, others = heads_of(head, [0, 1]), heads_of(head, [5])
    for fold in (0, 1):
        if heads.normalization.lacks_statistics(fold):
            heads.normalization.set_statistics(fold, [features(20, seed=fold)])
    others.load(0, unpack(pack([heads.state(fold) for fold in (0, 1)]), 1))
    inputs = features(6)
    expected = heads.one(1, inputs)
    assert torch.isfinite(expected).all()
    assert torch.equal(others.one(0, inputs), expected)
    torch.testing.assert_close(heads.export(1)(inputs), expected)


@pytest.mark.parametrize("head", [GRU(hidden=5, dropout=0.5), MLP(hidden=5, dropout=0.5)])
def test_hidden_dropout_depends_on_fold_and_epoch_alone(head: Head):
    def masked(folds: list[int], epoch: int) -> torch.Tensor:
        heads = make_heads(Recipe(head=head), WIDTH, folds).train()
        heads.begin_epoch(epoch)
        return heads(features(9).expand(len(folds), -1, -1), None, [np.array(SIZES)] * len(folds))[-1]

    torch.manual_seed(1)
    first = masked([0, 3], 2)
    torch.manual_seed(2)
    torch.testing.assert_close(first, masked([3], 2))
    assert not torch.allclose(first, masked([3], 1))


def test_a_start_depends_on_seed_and_fold_and_leaves_torchs_random_numbers_alone():
    before = torch.random.get_rng_state()
    (alone,), together = heads_of(GRU(), [2]).parameters_of(0)[:1], heads_of(GRU(), [0, 1, 2])
    assert torch.equal(together.parameters_of(2)[0], alone)
    assert not torch.equal(together.parameters_of(1)[0], alone)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_slices_have_no_logits():
    assert heads_of(GRU()).one(0, features(0)).shape == (0, 6)
