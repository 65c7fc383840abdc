"""A search on two nodes, which ask for a token as those of `cluster.yaml` do, and a local one beside them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml
from optuna.trial import TrialState

from ichtune.data.store import SliceStore
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import EPOCHS
from ichtune.runs.study import ENDED, open_study
from tests.made_up.nodes import Nodes, two_nodes
from tests.made_up.searches import search_without_ray
from tests.made_up.spaces import SMALL
from tests.search.test_promoted_search import frozen, losses, uninterrupted
from tests.search.test_search import launched, wait_for

pytestmark = pytest.mark.timeout(300)
__all__ = ["frozen"]  # a fixture

LAUNCH = [sys.executable, str(Path(__file__).parents[2] / "launch.py")]
LOCAL = """
import json
from ichtune.cluster.connection import connected
import psutil, ray
with connected(None):
    ray.get(ray.remote(lambda: None).remote())
    here = psutil.Process()
    listening = [
        (process.name(), port.laddr.ip.removeprefix("::ffff:"))
        for process in (here, *here.children(recursive=True))
        for port in process.net_connections(kind="inet")
        if port.status == psutil.CONN_LISTEN
    ]
    told = {
        "nodes": [node["NodeManagerAddress"] for node in ray.nodes()],
        "dashboard": ray._private.worker.global_worker.node.webui_url,
        "listens on": sorted({ip for _, ip in listening}),
        "listening": sorted({name for name, _ in listening}),
    }
print(json.dumps(told))
"""

# A search whose trials on images wait after their first epoch, for a node to die in the midst of them.
WAITING = """
import os, sys, time
from pathlib import Path
from ray import cloudpickle
import ichtune.search.plan as planning
import ichtune.search.trial as trial
from ichtune.cli import main
from ichtune.training.experiment import Experiment

class Waiting(Experiment):
    signal = Path(os.environ["GO_ON"])

    def epochs(self, recipe, **more):
        trial.CHECKPOINT_EVERY_S = 0  # else an epoch of under a second is not kept
        for result in super().epochs(recipe, **more):
            yield result
            while recipe.model.train == "all" and not self.signal.exists():
                time.sleep(0.1)

planning.Experiment = Waiting
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
main()
"""

# Two trials on images, one a node, and one on features.
MIXED = SMALL | {
    "model": {
        "backbone": "resnet18",
        "weights": "random",
        "size": 32,
        "train": {"choice": ["all", "frozen"]},
    },
    "augmentation": "normal",
    "training": {"epochs": 8, "batch_size": 8, "precision": "float32"},
    "points": {
        "images": {"model": {"train": "all"}},
        "more-images": {"model": {"train": "all"}, "optimizer": {"name": "sgd", "lr": 0.01}},
        "features": {"model": {"train": "frozen"}},
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture
def on_cluster(cluster) -> dict[str, str]:
    """The environment of a process that is to find two nodes of one core each."""
    return cluster.environment


def run(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_local_search_beside_a_cluster_has_a_ray_of_its_own_on_loopback(on_cluster):
    told = json.loads(run([sys.executable, "-c", LOCAL], on_cluster))
    assert told["nodes"] == told["listens on"] == ["127.0.0.1"]
    assert not told["dashboard"]
    assert "gcs_server" in told["listening"]
    # With `ray[default]` a node has an agent, which asks for the token too.
    serving = [name for name in told["listening"] if "dashboard" in name.lower()]
    assert set(serving) <= {"ray::DashboardAgent"}


def options(store: Path, folder: Path, *more: object) -> list[str]:
    (folder / "mixed.yaml").write_text(yaml.safe_dump(MIXED))
    given = ["--data", store, "--space", folder / "mixed.yaml", "--runs", folder / "runs", "--name", "run"]
    return list(map(str, [*given, "--folds", 1, *more]))


def test_trials_of_a_dead_node_go_on_elsewhere_as_if_nothing_had_happened(cluster, banked_store, tmp_path):
    given = options(banked_store, tmp_path, "--trials", 3, "--grace", 8)
    ended = RunFolder.at(tmp_path / "runs" / "run")
    output = cluster.disturb(
        WAITING,
        ["search", *given],
        tmp_path / "go-on",
        # With one core a node, each of two trials is on a node of its own.
        under_way=lambda: len(list(ended.trials.glob("*/checkpoint.pt"))) >= 2,
    )
    assert "its machine was lost" in output
    once = list(range(1, 9))
    for trial in open_study(ended.journal).trials:
        assert (trial.state, sorted(trial.intermediate_values)) == (TrialState.COMPLETE, once)
    assert pd.read_csv(ended.results / "ranked.csv")["rank"].tolist()[:3] == [1, 2, 3]
    settings = replace(ended.request.settings, runs=tmp_path / "undisturbed", address=None)
    recipes = [(record.params, record.point) for record in ended.trial_records()]
    undisturbed = search_without_ray(SliceStore.open(banked_store), ended.request.space, settings, recipes)
    assert records(ended) == records(undisturbed)


def test_a_search_on_a_cluster_says_by_its_exit_code_that_all_trials_failed(
    on_cluster, banked_store, tmp_path
):
    given = options(banked_store, tmp_path, "--trials", 2, "--set", "optimizer={name: sgd, lr: 1e+38}")
    with launched([*given, "--set", "model.train=frozen", "--address", "auto"], on_cluster) as search:
        output, errors = search.communicate(timeout=120)
    assert search.returncode == 1, output + errors
    assert "Traceback" not in errors
    ended = open_study(tmp_path / "runs" / "run" / "study.journal").trials
    ends = {trial.user_attrs[ENDED] for trial in ended}
    assert {TrialEnd.DIVERGED} <= ends <= {TrialEnd.DIVERGED, TrialEnd.REPEATED}


def test_ctrl_c_to_a_search_on_a_cluster_keeps_what_is_done(on_cluster, banked_store, tmp_path):
    given = options(banked_store, tmp_path, "--trials", 500, "--set", "model.train=frozen")
    run = RunFolder.at(tmp_path / "runs" / "run")
    with launched([*given, "--address", "auto"], on_cluster) as search:
        wait_for(search, lambda: bool(list(run.trials.glob(f"*/{EPOCHS}"))))
        search.send_signal(signal.SIGINT)
        output, errors = search.communicate(timeout=60)
    assert search.returncode == 130, output + errors
    assert "Traceback" not in errors
    assert "--resume run" in output
    assert TrialState.RUNNING not in [trial.state for trial in open_study(run.journal).trials]
    assert (run.results / "ranked.csv").is_file()


def records(run: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """What each trial recorded after each epoch, but for how long that took."""
    return {
        folder.path.name: [
            json.loads(line) | {"seconds": 0} for line in (folder.path / EPOCHS).read_text().splitlines()
        ]
        for folder in run.trial_folders()
    }


def test_promoted_recipes_of_a_dead_node_go_on_elsewhere_as_if_nothing_had_happened(
    cluster, frozen, tmp_path
):
    tuned = RunFolder.at(tmp_path / "tuned")
    cluster.disturb(
        WAITING,
        ["search", "--promote", frozen, "--runs", tmp_path, "--name", "tuned", "--grace", 3],
        tmp_path / "go-on",
        under_way=lambda: len(list(tuned.trials.glob("*/checkpoint.pt"))) >= 2,
    )
    expected = uninterrupted(frozen, tmp_path / "other", {})
    assert [len(epochs) for epochs in expected.values()] == [3, 3]
    assert losses(tuned) == expected


def test_a_runs_folder_that_another_node_does_not_see_is_refused(cluster, banked_store, tmp_path):
    environment = cluster.environment
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    (tmp_path / "runs").mkdir()
    # The node's view of the runs folder is an empty one of its own.
    start = f"{sys.executable} -m ray.scripts.scripts start --address={environment['RAY_ADDRESS']} --block"
    apart = f"mount -t tmpfs none {tmp_path}/runs && exec {start} --num-cpus=1 --node-ip-address=127.0.0.4"
    with open(tmp_path / "node.log", "w") as log:
        node = subprocess.Popen(
            ["unshare", "--mount", "--kill-child", "--fork", "sh", "-c", apart],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            if "Ray runtime started" in (tmp_path / "node.log").read_text():
                break
            time.sleep(0.1)
        done = subprocess.run(
            [*LAUNCH, *options(banked_store, tmp_path, "--trials", 2, "--address", "auto")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        family = psutil.Process(node.pid).children(recursive=True)
        for process in (*family, node):
            process.kill()
        node.wait()
    assert done.returncode == 2, done.stdout
    assert "the node 127.0.0.4 doesn't see this folder" in done.stderr
    assert "all nodes share" in done.stderr
    assert "s3://" in done.stderr
