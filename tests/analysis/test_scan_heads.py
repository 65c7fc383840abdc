"""Heads that read scans take part in all that a search leads to: ranking, the test set, retraining, model folders."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logit

from analysis.results import RankedResults
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan as retrain_plan
from analysis.retraining.train import retrain
from analysis.scoring.comparison import scored_parts
from analysis.test_set.held_out import HeldOut
from analysis.test_set.score import score_on_test
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space
from ichtune.training.units import ScanUnits
from tests.made_up.dicom import write_rsna
from tests.made_up.searches import search_without_ray

pytestmark = pytest.mark.timeout(60)

SPACE = Space.parse(
    {
        "metric": "weighted_log_loss",
        "model": {"weights": "random", "size": 32},
        "head": {
            "choice": [
                {"name": "linear"},
                {"name": "gru", "hidden": 4, "normalize": "standard", "differences": True},
                {"name": "attention", "hidden": 8, "heads": 2},
            ]
        },
        "optimizer": {"name": "adam", "lr": 0.01},
        "training": {"epochs": 2, "batch_size": 6},
    },
    "heads",
)
HEADS = ("linear", "gru", "attention")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """Slices of 14 patients in scans of three."""
    folder = tmp_path_factory.mktemp("data")
    source = write_rsna(folder / "rsna", size=32, patients=14)
    options = PrepareOptions(size=32, folds=2, workers=1, test_fraction=0.3)
    return prepare(source, folder / "store", options).store


@pytest.fixture(scope="module")
def run(store: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of a trial of each head, as a search leaves it."""
    settings = SearchSettings(runs=tmp_path_factory.mktemp("runs"), name="heads", folds=2, views=1)
    return search_without_ray(store, SPACE, settings, [({"head": name}, None) for name in HEADS])


def rank_of(run: RunFolder, head: str) -> int:
    return [trial.record.params["head"] for trial in RankedResults.of(run).trials].index(head) + 1


def test_every_kind_of_head_is_ranked(run: RunFolder):
    ranked = RankedResults.of(run).trials
    assert sorted(trial.record.recipe.head.name for trial in ranked) == sorted(HEADS)
    assert all(np.isfinite(trial.score) for trial in ranked)


@pytest.mark.parametrize("head", HEADS)
def test_the_kept_heads_score_as_the_search_recorded(run: RunFolder, head: str):
    model = retrain_plan(run, RetrainOptions(rank=rank_of(run, head), fold=1)).searched
    test = next(part for part in scored_parts(model.store, model.folds) if part.name == "test")
    scores = model.scores(model.predicted(torch.device("cpu"), lambda *_: None), test)
    assert model.departures(scores) == []


def test_the_test_set_is_scored_with_every_head(run: RunFolder, store: SliceStore):
    trials, held_out = RankedResults.of(run).trials, HeldOut(run, store)
    score_on_test(held_out, trials)
    for trial in trials:
        logits = held_out.logits(trial)
        assert logits is not None
        assert np.isfinite(logits[store.test].astype(float)).all()


def test_a_retrained_model_reads_whole_scans(run: RunFolder, store: SliceStore):
    made = retrain(run, RetrainOptions(rank=rank_of(run, "gru"), epochs=1, label="gru"))
    assert any("a batch of about 6 slices is 2 scans" in note for note in made.notes)
    assert np.isfinite(made.comparison["validation_weighted_log_loss"]).all()

    model, units = TrainedModel.open(made.folder), ScanUnits.of(store.scans)
    together = model.predict(store.hu, store.test, scans=store.scans)
    scan = units.batch(units.within(store.test)[:1]).rows
    alone = model.predict(np.asarray(store.hu[scan]))
    np.testing.assert_allclose(alone, together[np.searchsorted(store.test, scan)], atol=0.02)
    # The scan's slices change each other's probabilities: apart, each is a scan of its own.
    apart = np.concatenate([model.predict(store.hu, scan[n : n + 1]) for n in range(len(scan))])
    assert np.abs(logit(apart) - logit(alone)).max() > 1e-3
    assert made.scores["retrained"].parts.keys() == {"validation", "test"}


def test_a_head_of_another_kind_starts_fresh_or_not_at_all(run: RunFolder):
    rank = rank_of(run, "linear")
    with pytest.raises(
        InputError, match=r"head.name: the search's head was .* linear.*gru; use --head fresh"
    ):
        retrain_plan(run, RetrainOptions(rank=rank, changes={"head.name": "gru"}))
    options = RetrainOptions(rank=rank, head="fresh", changes={"head.name": "gru"})
    assert retrain_plan(run, options).recipe.head.name == "gru"


def test_a_scan_head_on_a_store_without_series_is_refused_in_one_line(store: SliceStore, tmp_path: Path):
    other = SliceStore.open(shutil.copytree(store.path, tmp_path / "other"))
    other.table.assign(series_id="").to_parquet(other.path / "slices.parquet")
    settings = SearchSettings(runs=tmp_path, name="new", folds=2)
    with pytest.raises(
        InputError, match=r"^head: gru reads whole scans, but .*--set head\.name=linear"
    ) as refused:
        plan(other.path, SPACE, settings)
    assert "\n" not in str(refused.value)
    plan(other.path, SPACE.changed({"head.name": "linear"}), settings)


def test_a_plan_says_what_scans_there_are(store: SliceStore, tmp_path: Path):
    settings = SearchSettings(runs=tmp_path, name="new", folds=2)
    assert plan(store.path, SPACE, settings).scans == "14 scans of 3 to 3 slices"
    assert plan(store.path, SPACE.changed({"head.name": "linear"}), settings).scans == ""
