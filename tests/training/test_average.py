"""The moving average of weights: its numbers, and that it is what is validated, kept and resumed."""

import numpy as np
import pytest
import torch
from torch import nn

from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import SGD, Plateau, RAdam, Recipe, Training
from ichtune.training.average import MovingAverage
from ichtune.training.batches import Fold
from ichtune.training.fit import fit, fit_folds_apart
from tests.made_up.trainings import (
    CPU,
    FOLDS,
    IMAGES,
    LABELS,
    SOURCE,
    WIDTH,
    assert_same_numbers,
    backbone,
    fold_of,
    networks,
    saved_and_loaded,
    train,
    with_part,
)

AVERAGED = with_part(training=Training(epochs=3, batch_size=16, seed=5, average=0.8))


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # d = 2/11, then 3/12: 9/11 of 1, then a quarter of that and three quarters of 2.
        (0.9, [9 / 11, 0.25 * 9 / 11 + 0.75 * 2]),
        # The second d is 0.2, which is below 3/12.
        (0.2, [9 / 11, 0.2 * 9 / 11 + 0.8 * 2]),
    ],
)
def test_the_average_of_two_steps_by_hand(decay, expected):
    value = torch.zeros(1)
    average = MovingAverage([value], decay)
    average.swap()
    averages = []
    for trained in (1.0, 2.0):
        value.fill_(trained)
        average.update()
        average.swap()
        averages.append(value.item())
        average.swap()
        assert value.item() == trained
    assert averages == pytest.approx(expected)


def test_the_averaged_head_is_validated_and_kept_and_the_trained_one_goes_on():
    rows = np.arange(10)
    training = Training(epochs=2, batch_size=10, seed=5, average=0.9)
    recipe = Recipe(optimizer=SGD(lr=0.5, momentum=0.0), training=training)
    known, heads = np.nan_to_num(LABELS), LinearHeads(WIDTH, [0], seed=5)
    linear = heads.export(0)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.5)
    expected = linear.weight.detach().clone()
    results = fit(Network(None, heads), SOURCE, known, [Fold(0, rows, rows + 10)], recipe, device=CPU)
    for epoch, kept in enumerate((2 / 11, 3 / 12)):
        inputs = SOURCE.inputs[:10] + 0.1 * (epoch + 1)
        optimizer.zero_grad()
        nn.BCEWithLogitsLoss()(linear(inputs), torch.from_numpy(known[:10])).backward()
        optimizer.step()
        expected = kept * expected + (1 - kept) * linear.weight.detach()
        result = next(results)
        torch.testing.assert_close(result.heads()[0]["weights"][:-1].T, expected)
        torch.testing.assert_close(result.state()["network"]["heads.weights.0"][:-1].T, expected)
        logits = torch.from_numpy(result.logits[0]) - heads.weights[0][-1].detach()
        torch.testing.assert_close(logits, SOURCE.inputs[10:20] @ expected.T)


def test_folds_side_by_side_average_as_they_would_alone():
    together = train(recipe=AVERAGED)
    for position, fold in enumerate(FOLDS):
        for result, alone in zip(together, train([fold], AVERAGED), strict=True):
            assert_same_numbers(fold_of(result, position), alone, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("done", [1, 2])
def test_an_averaged_training_resumes_bit_for_bit(done: int):
    recipe = AVERAGED.model_copy(update={"optimizer": RAdam(lr=0.02), "schedule": Plateau(patience=0)})
    whole = train(recipe=recipe)
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], seed=5)
    begun = fit(Network(None, heads), SOURCE, LABELS, FOLDS, recipe, device=CPU)
    state = saved_and_loaded([next(begun).state() for _ in range(done)][-1])
    for result, expected in zip(train(recipe=recipe, resume=state), whole[done:], strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def test_an_averaged_backbone_resumes_bit_for_bit():
    whole = list(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, AVERAGED, device=CPU))
    first = next(fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, AVERAGED, device=CPU))
    state = saved_and_loaded(first.state())
    resumed = fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, AVERAGED, device=CPU, resume=state)
    for result, expected in zip(resumed, whole[1:], strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def test_the_statistics_of_batch_normalisation_are_averaged_alike():
    def running_mean(average: float) -> torch.Tensor:
        training = Training(epochs=1, batch_size=70, seed=5, average=average)
        network = Network(backbone(), LinearHeads(3, [0], 5))
        next(fit(network, IMAGES, LABELS, FOLDS[:1], with_part(training=training), device=CPU))
        return network.backbone.layers[1].running_mean.clone()

    # One step from zeros: 9/11 of what is trained.
    torch.testing.assert_close(running_mean(0.9), running_mean(0.0) * 9 / 11)


def test_without_an_average_nothing_changes():
    training = AVERAGED.training.model_copy(update={"average": 0.0})
    for result, expected in zip(train(recipe=with_part(training=training)), train(), strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)
