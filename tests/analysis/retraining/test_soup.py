"""Weights of seeds are averaged where that scores better out of fold, as judged by the other folds."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from analysis.report.repeat import retrain_command
from analysis.report.retrained import retrained_models
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan, plans
from analysis.retraining.soup import Soup, greedy, mean_state
from analysis.retraining.train import train
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, rank_of, run, searched, store

pytestmark = pytest.mark.timeout(240)
__all__ = ["run", "searched", "store"]  # fixtures


def test_a_soup_begins_with_the_best_and_leaves_out_what_lowers_it():
    values = {(0,): 0.6, (1,): 0.8, (2,): 0.7, (1, 2): 0.75, (0, 1): 0.8}
    assert greedy(3, values.__getitem__) == (0, 1)


def test_weights_are_averaged_and_counters_are_not():
    states = [
        {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(3)},
        {"w": torch.tensor([3.0, 0.0]), "n": torch.tensor(5)},
    ]
    mean = mean_state(states)
    assert mean["w"].tolist() == [2, 2]
    assert mean["n"] == 3


class Made(Soup):
    """A soup of three folds of two seeds with given values."""

    VALUES = (
        {(0,): 0.9, (1,): 0.5, (0, 1): 0.1},
        {(0,): 0.4, (1,): 0.6, (0, 1): 0.8},
        {(0,): 0.5, (1,): 0.6, (0, 1): 0.7},
    )

    def _value(self, place: int, seeds: tuple[int, ...]) -> float:
        return self.VALUES[place][seeds]


def test_no_fold_chooses_the_seeds_that_score_it(searched: RunFolder):
    options = RetrainOptions(
        rank=rank_of(searched, FROZEN), folds=3, seeds=2, label="soup", changes={"metric": "auc"}
    )
    made = Made(plan(searched, options), [], torch.device("cpu"))
    # Folds 1 and 2 choose both seeds for fold 0, which alone is best with the first.
    assert made.by_others[0] == (0, 1)
    # Folds 0 and 2: seed 0 has 0.7, seed 1 0.55, both 0.4. Folds 0 and 1: 0.65, 0.55, 0.45.
    assert made.by_others[1:] == [(0,), (0,)]
    alone, soup = made.scores
    assert alone == pytest.approx((0.5 + 0.4 + 0.5) / 3)
    assert soup == pytest.approx((0.1 + 0.4 + 0.5) / 3)
    assert not made.helps
    assert made.remark.startswith("no soup is kept")


def test_a_soup_that_helps_is_written_as_the_average_of_its_seeds(
    run: RunFolder, store: SliceStore, monkeypatch: pytest.MonkeyPatch
):
    shutil.rmtree(run.path / "retrain", ignore_errors=True)
    kept: list[Soup] = []

    class Helps(Soup):
        def _value(self, place: int, seeds: tuple[int, ...]) -> float:
            kept[:] = [self]
            return float(len(seeds))

    monkeypatch.setattr("analysis.retraining.train.Soup", Helps)
    options = RetrainOptions(rank=rank_of(run, FROZEN), folds=2, seeds=2, soup=True, epochs=1, label="both")
    made = {each.folder.name: each for each in train(plans(run, options))}
    assert "both-soup" in made
    folder = made["both-soup"].folder
    model = TrainedModel.open(folder)
    assert model.about.members == ("fold0", "fold1")
    seeds = [
        load_file(folder.with_name("both") / f"fold1-seed{seed}" / "weights.safetensors") for seed in (0, 1)
    ]
    mean = load_file(folder / "fold1" / "weights.safetensors")
    name = "head.weight"
    assert not torch.equal(seeds[0][name], seeds[1][name])
    torch.testing.assert_close(mean[name], (seeds[0][name] + seeds[1][name]) / 2)
    rows = np.load(folder / "out_of_fold.npz")
    here = rows["folds"] == 1
    own = TrainedModel.open(folder / "fold1").logits(store.hu, rows["rows"][here])
    np.testing.assert_allclose(rows["logits"][here], own, atol=1e-3)
    assert "scores there are optimistic" in (folder / "MODEL.md").read_text()
    assert "slightly optimistic" in model.about.thresholds_chosen
    assert any("is kept as both-soup" in note for note in made["both"].notes)
    assert len(kept[0].out_of_fold) == 2
    found, _ = retrained_models(run)
    soup = next(each for each in found if each.label == "both-soup")
    assert "the average of the weights of some of 2 seeds" in soup.sentence
    command = retrain_command(run, soup)
    assert "--folds 2 --seeds 2 " in command
    assert command.endswith("--label both --soup")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 2}, "--soup: averages the weights of several seeds, chosen on several folds; add e.g."),
        ({"seeds": 2}, "--soup: averages the weights of several seeds, chosen on several folds; add e.g."),
        (
            {"folds": 2, "seeds": 2, "head": "fresh"},
            "and --head fresh gives each seed its own; leave out one",
        ),
    ],
)
def test_models_that_can_not_be_averaged_are_refused(searched: RunFolder, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        plans(searched, RetrainOptions(rank=rank_of(searched, FROZEN), soup=True, **options))
