"""Retraining on the two nodes of a cluster."""

import filecmp
import subprocess
import sys
from collections.abc import Iterator

import pytest

from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plans
from analysis.retraining.train import train
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, rank_of, run, searched, store
from tests.made_up.nodes import Nodes, two_nodes

pytestmark = pytest.mark.timeout(300)
__all__ = ["run", "searched", "store"]  # fixtures


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


def ichtune_on(nodes: Nodes, *words: object) -> None:
    """Run a command on the cluster; it must succeed."""
    command = [sys.executable, "-m", "ichtune.cli", *map(str, words), "--address", "auto"]
    done = subprocess.run(
        command, env=nodes.environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_folds_trained_on_two_nodes_are_the_same_files_as_on_one(
    cluster: Nodes, run: RunFolder, monkeypatch: pytest.MonkeyPatch
):
    rank = rank_of(run, FROZEN)
    # One node has a core, so that two trainings at once are on both.
    retrain = ["retrain", run.path, "--rank", rank, "--folds", 2, "--epochs", 2]
    ichtune_on(cluster, *retrain, "--label", "there")
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
    train(plans(run, RetrainOptions(rank=rank, folds=2, epochs=2, label="here")))
    models = run.path / "retrain"
    weights = ["fold0/weights.safetensors", "fold1/weights.safetensors"]
    assert filecmp.cmpfiles(models / "here", models / "there", weights, shallow=False) == (weights, [], [])


def test_one_training_shares_its_batches_between_two_nodes(cluster: Nodes, run: RunFolder):
    ichtune_on(
        cluster,
        *["retrain", run.path, "--rank", rank_of(run, FROZEN), "--epochs", 1, "--label", "shared"],
        *["--workers", 2],
    )
    assert TrainedModel.open(run.path / "retrain" / "shared").about.origin.fold == 0
    assert not list(run.path.glob(".ray-train-*"))
