from dataclasses import replace

import numpy as np
import pytest
import torch

from ichtune.bank.build import build
from ichtune.bank.plan import plan_parts
from ichtune.cross_validation import CrossValidation
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.experiment import Experiment, folds_of
from ichtune.training.fit import fit

EPOCHS = 3
CPU = torch.device("cpu")


@pytest.fixture
def recipe() -> Recipe:
    model = {"backbone": "resnet18", "weights": "random", "size": 32, "dropout": 0.3}
    training = {"epochs": EPOCHS, "batch_size": 8}
    return Recipe.parse(
        {
            "model": model,
            "training": training,
            "augmentation": "moderate",
            "optimizer": {"name": "adam", "lr": 0.01},
        },
        "test",
    )


@pytest.fixture
def experiment(small_store, recipe) -> Experiment:
    parts = plan_parts(small_store, [recipe.model], ["moderate"], views=EPOCHS, seed=5)
    build(parts)
    return Experiment(small_store.path, tuple(parts), CrossValidation(3), seed=5)


def test_cached_features_and_images_give_the_same_losses(small_store, experiment, recipe):
    cached = list(experiment.epochs(recipe, device=CPU, threads=1))
    folds = folds_of(small_store, CrossValidation(3))
    backbone = build_backbone(recipe.model, seed=5, precision=recipe.training.precision)
    network = Network(
        backbone, LinearHeads(backbone.width, [fold.index for fold in folds], recipe.training.seed)
    )
    images = experiment.images(recipe, threads=1)
    on_images = list(fit(network, images, small_store.labels, folds, recipe, device=CPU))
    for one, other in zip(cached, on_images, strict=True):
        # Features are stored as float16, with eleven bits.
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=2e-3)
        np.testing.assert_allclose(one.metrics["loss"], other.metrics["loss"], rtol=2e-3)
    assert len({tuple(epoch.train_loss) for epoch in cached}) == EPOCHS


def test_no_row_of_the_test_set_is_read(small_store, experiment, recipe, monkeypatch):
    read: set[int] = set()
    source = experiment.features(recipe)
    batches = source.batches
    monkeypatch.setattr(
        "ichtune.bank.features.FeatureSource.batches",
        lambda self, chunks, epoch: batches([read.update(rows.tolist()) or rows for rows in chunks], epoch),
    )
    list(experiment.epochs(recipe, device=CPU, threads=1))
    assert read == set(small_store.train.tolist())


def test_what_stands_in_the_test_set_changes_nothing(small_store, experiment, recipe):
    before = [epoch.metrics["auc"] for epoch in experiment.epochs(recipe, device=CPU, threads=1)]
    small_store.labels[small_store.test] = 1 - small_store.labels[small_store.test]
    folds = folds_of(small_store, CrossValidation(3))
    source = experiment.features(recipe)
    network = Network(None, LinearHeads(source.width, [fold.index for fold in folds], recipe.training.seed))
    after = [e.metrics["auc"] for e in fit(network, source, small_store.labels, folds, recipe, device=CPU)]
    np.testing.assert_array_equal(before, after)


def test_the_folds_of_the_stores_own_partition_train_as_they_do_without_others(experiment, recipe):
    alone = list(experiment.epochs(recipe, device=CPU, threads=1))
    beside = list(replace(experiment, validation=CrossValidation(3, 3)).epochs(recipe, device=CPU, threads=1))
    for one, other in zip(alone, beside, strict=True):
        assert other.train_loss.shape == (9,)
        # Products of more heads at once are rounded otherwise.
        np.testing.assert_allclose(one.train_loss, other.train_loss[:3], rtol=1e-5)
        for own, among in zip(one.logits, other.logits[:3], strict=True):
            np.testing.assert_allclose(own, among, rtol=1e-4, atol=1e-6)


def test_an_epochs_score_is_the_mean_over_the_folds_of_all_partitions(experiment, recipe):
    epoch = next(replace(experiment, validation=CrossValidation(3, 2)).epochs(recipe, device=CPU, threads=1))
    assert epoch.mean("loss") == pytest.approx(np.mean(epoch.metrics["loss"]))
    assert len(set(epoch.metrics["loss"].tolist())) == 6


def test_fold_k_of_partition_r_has_its_own_number_and_holds_out_patients_of_its_own(small_store):
    folds = folds_of(small_store, CrossValidation(3, 2))
    assert [(fold.index, fold.partition) for fold in folds] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 1),
        (4, 1),
        (5, 1),
    ]
    for partition in (folds[:3], folds[3:]):
        held_out = np.concatenate([fold.valid for fold in partition])
        np.testing.assert_array_equal(np.sort(held_out), small_store.train)
    for fold in folds:
        assert not set(small_store.patients[fold.train]) & set(small_store.patients[fold.valid])


def test_rounds_of_other_seeds_have_the_same_patients_and_folds_of_their_own_number(small_store):
    folds = folds_of(small_store, CrossValidation(3, partitions=2, seeds=2))
    assert [(fold.index, fold.partition, fold.round) for fold in folds] == [
        *((k, 0, 0) for k in (0, 1, 2)),
        *((k, 1, 1) for k in (3, 4, 5)),
        *((k, 0, 2) for k in (6, 7, 8)),
        *((k, 1, 3) for k in (9, 10, 11)),
    ]
    for first, again in zip(folds[:6], folds[6:], strict=True):
        np.testing.assert_array_equal(first.train, again.train)
        np.testing.assert_array_equal(first.valid, again.valid)


def test_backbones_that_are_trained_start_from_other_random_weights_with_each_seed(experiment, recipe):
    trained = recipe.model_copy(update={"model": recipe.model.model_copy(update={"train": "all"})})
    seeds = replace(experiment, validation=CrossValidation(3, seeds=2))
    weights = [seeds.network(trained, fold).backbone.weights_hash() for fold in seeds.all_folds]
    assert len(set(weights[:3])) == len(set(weights[3:])) == 1
    assert weights[0] != weights[3]


def test_fewer_folds_than_the_store_has_hold_out_as_many_of_each_partition(small_store):
    folds = folds_of(small_store, CrossValidation(1, 3))
    assert [(fold.index, fold.partition) for fold in folds] == [(0, 0), (1, 1), (2, 2)]
    assert len({tuple(fold.valid) for fold in folds}) > 1
