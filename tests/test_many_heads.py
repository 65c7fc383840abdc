"""The benchmark of many heads at once measures what it says, and says so where there is no GPU to measure."""

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.batched_heads import fit_batched
from benchmarks.heads import Features, folds_of
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Adam, Model, Recipe, Training
from ichtune.training.fit import fit

SLICES, WIDTH, FOLDS = 60, 8, 3
CPU = torch.device("cpu")
RECIPES = [
    Recipe(
        model=Model(dropout=dropout),
        optimizer=Adam(lr=lr, weight_decay=decay),
        training=Training(epochs=2, batch_size=16),
    )
    for dropout, lr, decay in ((0.0, 1e-2, 0.0), (0.4, 1e-3, 0.5), (0.7, 3e-2, 0.1))
]


def made_up(parts: list[int]) -> tuple[Features, np.ndarray, list]:
    rng = np.random.default_rng(0)
    features = Features(torch.from_numpy(rng.standard_normal((SLICES, WIDTH), np.float32)))
    labels = (rng.random((SLICES, 6)) < 0.3).astype(np.float32)
    return features, labels, folds_of(np.split(rng.permutation(SLICES), parts))


def test_recipes_in_one_module_train_as_each_does_alone():
    source, labels, folds = made_up([20, 40])
    together = fit_batched(source, WIDTH, labels, folds, RECIPES, CPU)
    for place, recipe in enumerate(RECIPES):
        network = Network(None, make_heads(recipe, WIDTH, range(FOLDS)))
        *_, alone = fit(network, source, labels, folds, recipe, device=CPU)
        np.testing.assert_allclose(together.train_loss[place], alone.train_loss, rtol=1e-5)
        np.testing.assert_allclose(together.grad_norm[place], alone.grad_norm, rtol=1e-4)
        np.testing.assert_allclose(together.auc[place], alone.metrics["auc"], atol=1e-6)
        for of_all, logits in zip(together.logits, alone.logits, strict=True):
            np.testing.assert_allclose(of_all[place], logits, atol=1e-5)


def test_folds_that_would_need_padding_are_refused():
    source, labels, folds = made_up([10, 40])
    with pytest.raises(ValueError, match="folds of the same size"):
        fit_batched(source, WIDTH, labels, folds, RECIPES, CPU)


def test_without_a_gpu_it_says_that_nothing_was_measured(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out.splitlines() == [
        "no GPU here, so nothing was measured; --device cpu tries the script at small sizes"
    ]
