"""Retraining on the nodes of a cluster."""

import filecmp
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.retraining.factorial import parse_factors
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plans
from analysis.retraining.train import train
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, rank_of, run, searched, store
from tests.made_up.nodes import Nodes, two_nodes

pytestmark = pytest.mark.timeout(300)
__all__ = ["run", "searched", "store"]  # fixtures

# `ichtune retrain` whose trainings wait after their first epoch, each on its node, until told to go on.
WAITING = """
import os, sys, time
from pathlib import Path
from ray import cloudpickle
import analysis.retraining.plan as planning
from analysis.retraining.member import Member
from ichtune.cli import main

go_on = Path(os.environ["GO_ON"])

class Waiting(Member):
    def train(self, work, device, threads, report, **team):
        def waiting(done, total, remark):
            while remark and not go_on.exists():
                time.sleep(0.1)
            report(done, total, remark)

        super().train(work, device, threads, waiting, **team)

planning.Member = Waiting
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
main()
"""


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


def test_recipes_retrained_while_a_node_dies_and_another_comes_are_the_same_models_as_on_one(
    cluster: Nodes, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    rank = rank_of(run, FROZEN)
    models = run.path / "retrain"
    combinations = ["--compare", "train=last,all", "--epochs", 2]
    # A node has one core, so that two trainings at once are on two of them.
    cluster.disturb(
        WAITING,
        ["retrain", run.path, "--rank", rank, *combinations, "--label", "there"],
        tmp_path / "go-on",
        under_way=lambda: len(list(models.glob(".there-*.partial/*.pt"))) == 2,
    )
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
    factors = parse_factors(["train=last,all"])
    made = train(plans(run, RetrainOptions(rank=rank, factors=factors, epochs=2, label="here")))
    for here in (model.folder for model in made):
        there = here.with_name(here.name.replace("here", "there"))
        assert filecmp.cmp(here / "weights.safetensors", there / "weights.safetensors", shallow=False)
    assert len(made) == 2


def test_one_training_shares_its_batches_between_two_nodes(cluster: Nodes, run: RunFolder):
    ichtune_on(
        cluster,
        *["retrain", run.path, "--rank", rank_of(run, FROZEN), "--epochs", 1, "--label", "shared"],
        *["--workers", 2],
    )
    assert TrainedModel.open(run.path / "retrain" / "shared").about.origin.fold == 0
    assert not list(run.path.glob(".ray-train-*"))


def test_a_run_at_a_uri_is_not_retrained_where_other_machines_would_keep_the_result_to_themselves(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uri = run.path.as_uri()
    with pytest.raises(InputError, match=f"--address: {uri} is at a URI, .*ichtune fetch {uri} FOLDER`"):
        plans(RunFolder.open(uri), RetrainOptions(address="auto"))
