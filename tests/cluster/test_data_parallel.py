"""Two workers train one network as a single process would."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ichtune.cluster.capacity import Capacity
from ichtune.cluster.connection import connected
from ichtune.cluster.data_parallel import run_together
from ichtune.errors import InputError
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import BCE, Adam, Model, Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.team import Team
from tests.made_up.trainings import CPU, Inputs

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # Ray's own use of it
]


def training(backbone: str, widths: tuple[int, ...]) -> list[dict[str, Any]]:
    """Train a small network with dropout, mixup and a moving average; most labels of the last rows are unknown.

    An epoch's last batch has three slices, too few for two parts.
    """
    rng = np.random.default_rng(0)
    labels = (rng.random((50, 6)) < 0.4).astype(np.float32)
    labels[20:, 1:] = np.nan
    labels[20:40] = np.nan
    images = Inputs(rng.random((50, 1, 32, 32)))
    model = Model(backbone=backbone, weights="random", widths=widths, size=32, train="all", dropout=0.3)
    built = build_backbone(model, seed=0, precision="float32")
    network = Network(built, LinearHeads(built.width, [0], 0))
    recipe = Recipe(
        model=model,
        loss=BCE(pos_weight="balanced"),
        optimizer=Adam(lr=0.01),
        training=Training(epochs=2, batch_size=12, mixup=0.4, average=0.5, seed=3),
    )
    fold = Fold(0, np.arange(39), np.arange(39, 50))
    team = Team.of_this_process()
    results = fit(network, images, labels, [fold], recipe, device=CPU, team=team)
    return [
        {
            "size": team.size,
            "train_loss": result.train_loss,
            "grad_norm": result.grad_norm,
            "logits": result.logits[0],
            "weights": {name: value.numpy() for name, value in result.state()["network"].items()},
        }
        for result in results
    ]


def saved(work: Callable[[], list[dict[str, Any]]], folder: Path, *given: Any) -> None:
    *_, team = given
    torch.save(work(), folder / f"{team.rank}.pt")


@pytest.mark.parametrize(("backbone", "widths"), [("cnn5", (2, 3, 4)), ("fcn", (3, 4))])
def test_two_workers_get_the_numbers_of_one_process(tmp_path, backbone, widths):
    work = partial(training, backbone, widths)
    expected = work()
    with connected(None) as capacity:
        works = {"it": partial(saved, work, tmp_path)}
        assert run_together(works, 2, capacity, tmp_path, lambda *_: None) == {}
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert [epoch["size"] for epoch in found] == [2, 2]
        for epoch, other in zip(found, expected, strict=True):
            for name in ("train_loss", "grad_norm", "logits"):
                np.testing.assert_allclose(epoch[name], other[name], rtol=1e-4, atol=1e-5, err_msg=name)
            for name, value in epoch["weights"].items():
                np.testing.assert_allclose(value, other["weights"][name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_more_workers_than_cores_are_refused(tmp_path):
    capacity = Capacity(nodes=1, cpus=2, gpus=0)
    with pytest.raises(
        InputError, match="--workers: there are 2 cores to run on, so use at most that, got 3"
    ):
        run_together({}, 3, capacity, tmp_path, lambda *_: None)
