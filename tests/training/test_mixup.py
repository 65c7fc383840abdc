"""Mixup: who is mixed with whom, what that costs, and that it depends on seed, fold and epoch alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import GRU, MLP, MSE, SGD, Focal, Recipe, Training
from ichtune.training.batches import Fold, Step
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.mixup import Mixup
from tests.made_up.trainings import (
    CPU,
    FOLDS,
    IMAGES,
    LABELS,
    RECIPE,
    SOURCE,
    WIDTH,
    assert_same_numbers,
    fold_of,
    networks,
    saved_and_loaded,
    train,
    with_part,
)
from tests.training.test_scan_fit import FOLDS as SCAN_FOLDS
from tests.training.test_scan_fit import train as train_scans

TRAINING = Training(epochs=3, batch_size=16, seed=5, mixup=0.4)
MIXED = with_part(training=TRAINING)


def step_of(*folds: list[int]) -> Step:
    """A step whose folds have units of these sizes, with the rows 0, 1, ... in each."""
    counts = np.array([sum(sizes) for sizes in folds])
    rows = np.tile(np.arange(counts.max()), (len(folds), 1))
    return Step(rows, counts, [np.array(sizes, np.int64) for sizes in folds])


def test_every_slice_of_a_batch_is_a_partner_once():
    step = step_of([1] * 9, [1] * 4, [])
    mix = Mixup(1.0, [0, 1, 2], seed=0, epoch=0).draw(step)
    assert sorted(mix.partners[0]) == list(range(9))
    assert sorted(mix.partners[1, :4]) == list(range(4))
    assert mix.partners[1, 4:].tolist() == list(range(4, 9))
    assert mix.share[2] == 1


def test_a_slice_of_a_scan_is_mixed_with_the_one_at_the_same_relative_place():
    # Two scans of 2 and 4 slices: quarters 1 and 3 of one lie in the second and last quarter of the other.
    mixup = Mixup(1.0, [0], seed=0, epoch=0)
    partners = {tuple(mixup.draw(step_of([2, 4])).partners[0].tolist()) for _ in range(20)}
    assert partners == {(0, 1, 2, 3, 4, 5), (3, 5, 0, 0, 1, 1)}


def test_shares_have_a_beta_distribution():
    mixup = Mixup(0.4, [0], seed=0, epoch=0)
    shares = [mixup.draw(step_of([1, 1])).share[0] for _ in range(2000)]
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_one_step_is_what_torch_does_by_hand():
    rows = np.arange(10)
    known = np.nan_to_num(LABELS)
    training = Training(epochs=1, batch_size=10, seed=5, mixup=0.4)
    recipe = Recipe(optimizer=SGD(lr=0.5, momentum=0.0), training=training)
    heads = LinearHeads(WIDTH, [0], seed=5)
    linear = heads.export(0)
    order = np.random.default_rng([*b"order", 5, 0, 0]).permutation(rows)
    mix = Mixup(0.4, [0], seed=5, epoch=0).draw(Step(order[None], np.array([10]), [np.ones(10, np.int64)]))
    share, partners = float(mix.share[0]), mix.partners[0]
    assert 0 < share < 1
    assert (partners != order).any()

    inputs, labels = SOURCE.inputs + 0.1, torch.from_numpy(known)
    mixed = share * inputs[order] + (1 - share) * inputs[partners]
    loss = nn.BCEWithLogitsLoss()(linear(mixed), share * labels[order] + (1 - share) * labels[partners])
    loss.backward()
    torch.optim.SGD(linear.parameters(), lr=0.5).step()
    (result,) = fit(Network(None, heads), SOURCE, known, [Fold(0, rows, rows + 10)], recipe, device=CPU)

    np.testing.assert_allclose(result.train_loss, loss.item(), rtol=1e-5)
    expected = linear(SOURCE.inputs[10:20]).detach()
    np.testing.assert_allclose(result.logits[0], expected, rtol=1e-5, atol=1e-6)


def test_a_label_is_known_only_if_both_slices_have_it():
    labels = np.zeros((4, 6), np.float32)
    labels[1, 0] = np.nan
    recipe = Recipe(optimizer=SGD(lr=0.5, momentum=0), training=Training(epochs=8, batch_size=2, mixup=1.0))
    heads, folds = LinearHeads(WIDTH, [0], seed=0), [Fold(0, np.arange(2), np.arange(2, 4))]
    before, learned, alone = heads.weights[0].detach().clone(), [], []
    for epoch, _ in enumerate(fit(Network(None, heads), SOURCE, labels, folds, recipe, device=CPU)):
        after = heads.weights[0].detach().clone()
        assert not torch.equal(after[:, 1], before[:, 1])
        learned.append(not torch.equal(after[:, 0], before[:, 0]))
        # Only slice 0 knows the label, so it is learned if both slices are mixed with themselves.
        order = np.random.default_rng([*b"order", 0, 0, epoch]).permutation(2)
        mix = Mixup(1.0, [0], seed=0, epoch=epoch).draw(Step(order[None], np.array([2]), [np.ones(2, int)]))
        alone.append((mix.partners[0] == order).all())
        before = after
    assert learned == alone
    assert len(set(alone)) == 2


@pytest.mark.parametrize("loss", [RECIPE.loss, Focal(), MSE()], ids=lambda loss: loss.name)
def test_folds_side_by_side_mix_as_they_would_alone(loss):
    recipe = MIXED.model_copy(update={"loss": loss, "sampler": "oversample"})
    together = train(recipe=recipe)
    for position, fold in enumerate(FOLDS):
        for result, alone in zip(together, train([fold], recipe), strict=True):
            assert_same_numbers(fold_of(result, position), alone, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("average", [0.0, 0.8])
def test_a_mixed_training_resumes_bit_for_bit(average: float):
    recipe = with_part(training=TRAINING.model_copy(update={"average": average}))
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)
    first = next(fit(Network(None, heads), SOURCE, LABELS, FOLDS, recipe, device=CPU))
    resumed = train(recipe=recipe, resume=saved_and_loaded(first.state()))
    for result, expected in zip(resumed, train(recipe=recipe)[1:], strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def test_images_are_mixed_where_the_backbone_is_trained():
    mixed, plain = (
        list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, recipe, device=CPU))
        for recipe in (MIXED, with_part())
    )
    for position, (network, fold) in enumerate(zip(networks(), FOLDS, strict=True)):
        *_, alone = fit(network, IMAGES, LABELS, [fold], MIXED, device=CPU)
        assert_same_numbers(fold_of(mixed[-1], position), alone, rtol=0, atol=0)
    assert not np.allclose(mixed[-1].logits[0], plain[-1].logits[0])


@pytest.mark.parametrize("head", [MLP(hidden=8, dropout=0.5), GRU(hidden=8)], ids=lambda head: head.name)
def test_scans_in_micro_batches_mix_as_whole_batches_and_folds_as_alone(head):
    together = train_scans(head, training=TRAINING)
    for result, parts in zip(together, train_scans(head, training=TRAINING, micro_batches=3), strict=True):
        for logits, others in zip(result.logits, parts.logits, strict=True):
            np.testing.assert_allclose(logits, others, rtol=1e-3, atol=1e-3)
    for place, fold in enumerate(SCAN_FOLDS):
        for result, alone in zip(together, train_scans(head, [fold], training=TRAINING), strict=True):
            np.testing.assert_allclose(result.logits[place], alone.logits[0], rtol=1e-3, atol=1e-4)


def test_every_epoch_mixes_anew_and_so_does_every_seed():
    step = step_of([1] * 9)
    draws = [Mixup(1.0, [0], seed=seed, epoch=epoch).draw(step) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(one.share[0] != other.share[0] for one, other in pairwise(draws))
    assert all((one.partners != other.partners).any() for one, other in pairwise(draws))
