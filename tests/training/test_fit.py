"""Folds side by side train as they would alone, resume bit for bit, and see nothing but their training part."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import (
    BCE,
    SGD,
    Adam,
    AdamW,
    Asymmetric,
    Constant,
    Cosine,
    FlatCosine,
    Focal,
    OneCycle,
    Plateau,
    RAdam,
    Recipe,
    RMSprop,
    Step,
    Training,
)
from ichtune.training.batches import Fold
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.predict import predict
from tests.made_up.trainings import (
    CPU,
    FOLDS,
    IMAGES,
    LABELS,
    RECIPE,
    ROWS,
    SOURCE,
    WIDTH,
    Inputs,
    assert_same_numbers,
    backbone,
    fold_of,
    networks,
    saved_and_loaded,
    train,
    with_part,
)


@pytest.mark.parametrize("sampler", ["shuffle", "oversample"])
@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Step(every=1),
        Plateau(patience=0),
        Cosine(warmup_epochs=1),
        OneCycle(),
        FlatCosine(flat=0.3),
    ],
    ids=lambda schedule: schedule.name,
)
@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(lr=0.02, weight_decay=0.01),
        AdamW(lr=0.02),
        RAdam(lr=0.02),
        SGD(lr=0.1, nesterov=True, weight_decay=0.01),
        RMSprop(lr=0.01, momentum=0.5),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_folds_side_by_side_train_as_they_would_alone(optimizer, schedule, sampler):
    recipe = with_part(optimizer=optimizer, schedule=schedule, sampler=sampler)
    together = train(recipe=recipe)
    for position, fold in enumerate(FOLDS):
        for result, alone in zip(together, train([fold], recipe), strict=True):
            assert_same_numbers(fold_of(result, position), alone, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "loss", [Focal(gamma=1.5, alpha=0.75), Asymmetric(), BCE(pos_weight="balanced", smoothing=0.1)], ids=str
)
def test_folds_side_by_side_train_as_alone_with_any_loss(loss):
    recipe = with_part(loss=loss)
    together = train(recipe=recipe)
    for position, fold in enumerate(FOLDS):
        assert_same_numbers(fold_of(together[-1], position), train([fold], recipe)[-1], rtol=1e-5, atol=2e-6)


def test_one_step_is_what_torch_does_by_hand():
    fold = Fold(0, np.arange(10), np.arange(10, 20))
    known = np.nan_to_num(LABELS)
    recipe = Recipe(optimizer=SGD(lr=0.5, momentum=0.0), training=Training(epochs=1, batch_size=10, seed=5))
    heads = LinearHeads(WIDTH, [0], seed=5)
    linear = heads.export(0)

    loss = nn.BCEWithLogitsLoss()(linear(SOURCE.inputs[:10] + 0.1), torch.from_numpy(known[:10]))
    loss.backward()
    torch.optim.SGD(linear.parameters(), lr=0.5).step()
    (result,) = fit(Network(None, heads), SOURCE, known, [fold], recipe, device=CPU)

    np.testing.assert_allclose(result.train_loss, loss.item(), rtol=1e-5)
    expected = linear(SOURCE.inputs[10:20]).detach()
    np.testing.assert_allclose(result.logits[0], expected, rtol=1e-5, atol=1e-6)
    norm = torch.cat([parameter.grad.flatten() for parameter in linear.parameters()]).norm()
    np.testing.assert_allclose(result.grad_norm, norm, rtol=1e-5)
    assert result.trained_parameters == [WIDTH * 6 + 6]


@pytest.mark.parametrize(
    "schedule",
    [Constant(), Step(every=2), Plateau(patience=0), Cosine(warmup_epochs=1), OneCycle(), FlatCosine()],
)
@pytest.mark.parametrize("optimizer", [Adam(), RAdam(), SGD(), RMSprop()])
def test_resuming_gives_the_same_epochs_bit_for_bit(optimizer, schedule):
    recipe = with_part(optimizer=optimizer, schedule=schedule, sampler="oversample")
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)
    first = next(fit(Network(None, heads), SOURCE, LABELS, FOLDS, recipe, device=CPU))
    resumed = train(recipe=recipe, resume=saved_and_loaded(first.state()))
    for result, uninterrupted in zip(resumed, train(recipe=recipe)[1:], strict=True):
        assert_same_numbers(result, uninterrupted, rtol=0, atol=0)


def test_a_state_stays_what_it_was_when_training_goes_on():
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)
    epochs = fit(Network(None, heads), SOURCE, LABELS, FOLDS, RECIPE, device=CPU)
    state = next(epochs).state()
    next(epochs)
    once = train(resume=state)
    assert_same_numbers(once[-1], train(resume=state)[-1], rtol=0, atol=0)
    assert_same_numbers(once[-1], train()[-1], rtol=0, atol=0)


def test_resuming_with_the_state_of_other_folds_is_an_error():
    state = train()[0].state()
    with pytest.raises(ValueError, match=r"state of folds \[0\], got that of \[0, 1, 3\]"):
        train(FOLDS[:1], resume=state)


def test_labels_outside_of_the_training_part_do_not_change_training():
    fold = FOLDS[2]
    others = np.setdiff1d(np.arange(ROWS), fold.train)
    changed = LABELS.copy()
    changed[others] = 1 - changed[others]
    recipe = with_part(sampler="oversample")
    for result, other in zip(train([fold], recipe), train([fold], recipe, changed), strict=True):
        np.testing.assert_array_equal(result.logits[0], other.logits[0])
        np.testing.assert_array_equal(result.train_loss, other.train_loss)
        assert not np.array_equal(result.metrics["loss"], other.metrics["loss"])


def test_other_folds_do_not_change_a_fold():
    changed = LABELS.copy()
    changed[:30] = 1 - changed[:30]
    np.testing.assert_allclose(train()[-1].logits[2], train(labels=changed)[-1].logits[2], rtol=1e-6)


def test_the_seed_decides_and_nothing_global_does():
    torch.manual_seed(1)
    result = train()[-1]
    torch.manual_seed(2)
    assert_same_numbers(result, train()[-1], rtol=0, atol=0)
    other = train(recipe=with_part(training=Training(epochs=3, batch_size=16, seed=6)))[-1]
    assert not np.allclose(result.logits[0], other.logits[0])


def test_a_fold_that_diverges_leaves_the_others_their_numbers():
    broken = Inputs(SOURCE.inputs.numpy())
    # Rows 0 to 29 are in the training part of the first fold alone.
    broken.inputs[5] = float("inf")
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)
    folds = [FOLDS[0], replace(FOLDS[1], valid=np.arange(80, 90)), FOLDS[2]]
    result = list(fit(Network(None, heads), broken, LABELS, folds, RECIPE, device=CPU))[-1]
    expected = train(folds)[-1]
    assert result.diverged
    assert np.isnan(result.train_loss[0])
    assert np.isnan(result.mean("auc"))
    np.testing.assert_allclose(result.train_loss[1:], expected.train_loss[1:])
    np.testing.assert_allclose(result.metrics["loss"][1:], expected.metrics["loss"][1:])


def test_the_rates_really_used_are_told():
    recipe = with_part(optimizer=SGD(lr=0.1), schedule=Step(every=2, factor=0.1))
    results = train(recipe=recipe)
    np.testing.assert_allclose([result.lr for result in results], [[0.1] * 3, [0.1] * 3, [0.01] * 3])
    # 5 batches in the first fold, the rate falling along half a cosine wave over 15: lr of batches 0 to 4.
    result = train(recipe=with_part(optimizer=SGD(lr=0.1), schedule=Cosine()))[0]
    rates = [0.05 * (1 + np.cos(np.pi * batch / 15)) for batch in range(5)]
    np.testing.assert_allclose([result.lr[0], result.mean_lr[0]], [rates[-1], np.mean(rates)])


def test_the_class_mix_is_that_of_the_rows_drawn():
    np.testing.assert_allclose(train()[0].class_mix[0], np.nanmean(LABELS[:70], axis=0), rtol=1e-6)
    rare = np.zeros((ROWS, 6), dtype=np.float32)
    rare[:7, 0] = 1
    # One label, 7 of 70 slices: half of all draws, where a plain epoch has a tenth.
    mix = np.mean(
        [result.class_mix[0, 0] for result in train(FOLDS[:1], with_part(sampler="oversample"), rare)]
    )
    assert 0.4 < mix < 0.6


@pytest.mark.parametrize("steps", [1, 9])
def test_an_epoch_of_a_number_of_steps_has_that_many_in_every_fold(steps):
    training = RECIPE.training.model_copy(update={"steps": steps, "epochs": 4})
    recipe = with_part(training=training, optimizer=SGD(lr=0.1), schedule=FlatCosine(flat=0))
    results = train(recipe=recipe)
    # Half a cosine wave over all steps of the training: the rate of each epoch's last step.
    shares = [(epoch * steps - 1) / (4 * steps) for epoch in (1, 2, 3, 4)]
    expected = [[0.05 * (1 + np.cos(np.pi * share))] * 3 for share in shares]
    np.testing.assert_allclose([result.lr for result in results], expected)
    first = next(
        fit(
            Network(None, LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)),
            SOURCE,
            LABELS,
            FOLDS,
            recipe,
            device=CPU,
        )
    )
    resumed = train(recipe=recipe, resume=saved_and_loaded(first.state()))
    for result, uninterrupted in zip(resumed, results[1:], strict=True):
        assert_same_numbers(result, uninterrupted, rtol=0, atol=0)


def test_training_without_a_validation_part_works():
    result = train([Fold(0, np.arange(ROWS), np.arange(0))])[-1]
    assert not result.diverged
    assert result.logits[0].shape == (0, 6)
    assert np.isnan(result.metrics["loss"]).all()


def test_a_training_part_without_labels_is_an_error():
    labels = LABELS.copy()
    labels[FOLDS[2].train] = np.nan
    with pytest.raises(InputError, match="fold 3: none of its 30 training slices has a known label"):
        train(labels=labels)


def test_a_fold_without_a_head_is_an_error():
    with pytest.raises(ValueError, match="got 3 folds and 1 heads"):
        next(fit(Network(None, LinearHeads(WIDTH, [0], 0)), SOURCE, LABELS, FOLDS, RECIPE, device=CPU))


def test_prediction_in_small_chunks_gives_every_heads_logits():
    network = Network(None, LinearHeads(WIDTH, [0, 1], 0))
    rows = np.array([7, 3, 3, 80, 12])
    logits = predict(network, SOURCE, rows, device=CPU, batch_size=2)
    expected = torch.stack([network.heads.one(head, SOURCE.inputs[rows]) for head in range(2)])
    torch.testing.assert_close(logits, expected.detach())
    torch.testing.assert_close(predict(network, SOURCE, rows, device=CPU, head=1), expected[1:].detach())


def test_a_trained_backbone_resumes_bit_for_bit_whatever_the_global_seed():
    torch.manual_seed(1)
    uninterrupted = list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, RECIPE, device=CPU))
    torch.manual_seed(2)
    first = next(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, RECIPE, device=CPU))
    state = saved_and_loaded(first.state())
    resumed = list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, RECIPE, device=CPU, resume=state))
    for result, expected in zip([first, *resumed], uninterrupted, strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def test_folds_apart_give_the_results_of_each():
    together = list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, RECIPE, device=CPU))
    for position, (network, fold) in enumerate(zip(networks(), FOLDS, strict=True)):
        alone = list(fit(network, IMAGES, LABELS, [fold], RECIPE, device=CPU))
        assert_same_numbers(fold_of(together[-1], position), alone[-1], rtol=0, atol=0)


def test_training_changes_a_trained_backbone_and_leaves_a_frozen_one():
    for frozen in (True, False):
        network = Network(backbone(frozen), LinearHeads(3, [0], 5))
        list(fit(network, IMAGES, LABELS, FOLDS[:1], RECIPE, device=CPU))
        same = [
            torch.equal(value, before)
            for value, before in zip(
                network.backbone.state_dict().values(), backbone().state_dict().values(), strict=True
            )
        ]
        assert all(same) if frozen else not any(same)


def test_a_frozen_backbone_gives_what_its_cached_features_give():
    network = Network(backbone(frozen=True), LinearHeads(3, [fold.index for fold in FOLDS], 5))
    on_images = list(fit(network, IMAGES, LABELS, FOLDS, RECIPE, device=CPU))

    class Bank:
        def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
            return (network.features(images) for images in IMAGES.batches(chunks, epoch))

    heads = LinearHeads(3, [fold.index for fold in FOLDS], 5)
    on_features = list(fit(Network(None, heads), Bank(), LABELS, FOLDS, RECIPE, device=CPU))
    for result, other in zip(on_images, on_features, strict=True):
        assert_same_numbers(result, other, rtol=1e-5, atol=2e-6)


def test_folds_cannot_share_a_trained_backbone():
    network = Network(backbone(), LinearHeads(3, [fold.index for fold in FOLDS], 5))
    with pytest.raises(ValueError, match="use fit_folds_apart"):
        next(fit(network, IMAGES, LABELS, FOLDS, RECIPE, device=CPU))
