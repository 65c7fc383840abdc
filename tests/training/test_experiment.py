import numpy as np
import pytest
import torch

from ichtune.bank.build import build
from ichtune.bank.plan import plan_parts
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
    return Experiment(small_store.path, tuple(parts), folds=3, seed=5)


def test_cached_features_and_images_give_the_same_losses(small_store, experiment, recipe):
    cached = list(experiment.epochs(recipe, device=CPU, threads=1))
    folds = folds_of(small_store, 3)
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
    folds = folds_of(small_store, 3)
    source = experiment.features(recipe)
    network = Network(None, LinearHeads(source.width, [fold.index for fold in folds], recipe.training.seed))
    after = [e.metrics["auc"] for e in fit(network, source, small_store.labels, folds, recipe, device=CPU)]
    np.testing.assert_array_equal(before, after)
