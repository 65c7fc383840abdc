"""Phases: each trains its own part with its own optimizer and schedule, from what the phase before it left."""

from itertools import islice

import numpy as np
import pytest
import torch

from ichtune.models.backbones import build_backbone
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import SGD, Adam, Cosine, Model, Phase, RAdam, Recipe, Step, Training
from ichtune.training.fit import fit, fit_folds_apart
from tests.made_up.trainings import (
    CPU,
    FOLDS,
    LABELS,
    RECIPE,
    ROWS,
    SOURCE,
    WIDTH,
    Inputs,
    assert_same_numbers,
    saved_and_loaded,
    train,
    with_part,
)

PHASES = (
    Phase(train="frozen", optimizer=SGD(lr=0.2), epochs=2),
    Phase(train="last", optimizer=RAdam(lr=0.01), schedule=Cosine(), epochs=1),
    Phase(train="all", optimizer=Adam(lr=1e-3), schedule=Step(every=1, factor=0.5), epochs=2),
)
SMALL = Model(backbone="cnn5", weights="random", widths=(2, 3, 4), size=32, train="all")
IMAGES = Inputs(np.random.default_rng(3).random((ROWS, 1, 32, 32)))


def phased(*phases: Phase, **parts: object) -> Recipe:
    return Recipe.parse(
        {**RECIPE.model_dump(), "phases": [each.model_dump() for each in phases], **parts}, ""
    )


def networks() -> list[Network]:
    made = [build_backbone(SMALL, seed=0, precision="float32") for _ in FOLDS]
    return [
        Network(each, LinearHeads(each.width, [fold.index], 5))
        for each, fold in zip(made, FOLDS, strict=True)
    ]


def apart(recipe: Recipe, **options: object):
    return fit_folds_apart(networks(), IMAGES, LABELS, FOLDS, recipe, device=CPU, **options)


def test_a_single_phase_trains_as_a_recipe_without_phases():
    alone = Phase(optimizer=RECIPE.optimizer, schedule=RECIPE.schedule, epochs=RECIPE.training.epochs)
    for result, expected in zip(train(recipe=phased(alone)), train(), strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)


def test_a_phase_begins_with_the_weights_of_the_one_before_and_a_new_optimizer():
    class Same(Inputs):
        def batches(self, chunks, epoch):
            return super().batches(chunks, None)

    # Whole training parts as batches, so that their order changes nothing.
    whole = Training(epochs=2, batch_size=ROWS)
    first, second = Adam(lr=0.05), SGD(lr=0.3, momentum=0.9)
    plain = with_part(model=Model(), training=whole)
    both = phased(
        Phase(optimizer=first, epochs=2),
        Phase(optimizer=second, epochs=2),
        model=Model().model_dump(),
        training=whole.model_dump(),
    )
    source = Same(SOURCE.inputs.numpy())
    heads = LinearHeads(WIDTH, [fold.index for fold in FOLDS], 5)
    network = Network(None, heads)
    by_hand = [
        result
        for optimizer in (first, second)
        for result in fit(
            network, source, LABELS, FOLDS, plain.model_copy(update={"optimizer": optimizer}), device=CPU
        )
    ]
    again = Network(None, LinearHeads(WIDTH, [fold.index for fold in FOLDS], 5))
    for result, expected in zip(fit(again, source, LABELS, FOLDS, both, device=CPU), by_hand, strict=True):
        np.testing.assert_allclose(result.train_loss, expected.train_loss, rtol=1e-5)
        np.testing.assert_allclose(result.lr, expected.lr)


def test_each_phase_trains_its_own_part():
    [network, *_] = networks()
    before = {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}

    def changed() -> set[str]:
        now = network.backbone.state_dict()
        return {name for name in before if not torch.equal(before[name], now[name])}

    results = fit(network, IMAGES, LABELS, FOLDS[:1], phased(*PHASES), device=CPU)
    seen = [(int(next(results).trained_parameters[0]), changed()) for _ in range(5)]
    head = sum(parameter.numel() for parameter in network.heads.parameters())
    whole = head + sum(parameter.numel() for parameter in network.backbone.parameters())
    assert seen[0] == seen[1] == (head, set())
    last, of_last = seen[2]
    assert head < last < whole
    assert of_last
    assert not any(name.startswith("network.0") for name in of_last)
    assert seen[3][0] == seen[4][0] == whole
    assert of_last < seen[4][1]


def test_schedules_run_within_their_phase():
    rates = [float(result.lr[1]) for result in apart(phased(*PHASES))]
    # Fold 1 has three batches: the cosine is at 2/3 of its wave in the last of them.
    np.testing.assert_allclose(rates, [0.2, 0.2, 0.005 * (1 + np.cos(np.pi * 2 / 3)), 1e-3, 5e-4])


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_training_resumes_bit_for_bit_within_and_between_phases(after, average):
    training = RECIPE.training.model_copy(update={"average": average})
    recipe = phased(*PHASES, training=training.model_dump())
    uninterrupted = list(apart(recipe))
    *_, reached = islice(apart(recipe), after)
    resumed = list(apart(recipe, resume=saved_and_loaded(reached.state())))
    assert len(resumed) == 5 - after
    for result, expected in zip(resumed, uninterrupted[after:], strict=True):
        assert_same_numbers(result, expected, rtol=0, atol=0)
