"""A search on two nodes, which ask for a token as those of `cluster.yaml` do, and a local one beside them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from ichtune.search.run_folder import RunFolder
from ichtune.search.study import open_study
from tests.search.conftest import SMALL

pytestmark = pytest.mark.timeout(300)

LAUNCH = [sys.executable, str(Path(__file__).parents[2] / "launch.py")]
ADDRESSES = ["127.0.0.2", "127.0.0.3"]  # for 127.0.0.1 Ray takes the machine's own address

# In a process of its own, because Ray keeps its mode of authentication for as long as a process lives.
NODES = f"""
from ray.cluster_utils import Cluster
cluster = Cluster()
for address in {ADDRESSES}:
    cluster.add_node(num_cpus=1, node_ip_address=address, include_dashboard=False)
cluster.wait_for_nodes(60)
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""

LOCAL = """
import json
from ichtune.search.cluster import connected
import psutil, ray
with connected(None) as capacity:
    here = psutil.Process()
    ports = [port for process in (here, *here.children(recursive=True)) for port in process.net_connections()]
    told = {
        "nodes": [node["NodeManagerAddress"] for node in ray.nodes()],
        "dashboard": ray._private.worker.global_worker.node.webui_url,
        "listens on": sorted({port.laddr.ip for port in ports if port.status == psutil.CONN_LISTEN}),
    }
print(json.dumps(told))
"""

# The first two trials are long enough for both nodes to have begun one before the other node has done them all.
MIXED = SMALL | {
    "model": {
        "backbone": "resnet18",
        "weights": "random",
        "size": 32,
        "train": {"choice": ["all", "frozen"]},
    },
    "augmentation": "normal",
    "training": {"epochs": 2, "batch_size": 8},
    "points": {
        "images": {"model": {"train": "all"}},
        "more-images": {"model": {"train": "all"}, "optimizer": {"name": "sgd", "lr": 0.01}},
        "features": {"model": {"train": "frozen"}},
    },
}


@pytest.fixture(scope="module")
def on_cluster() -> Iterator[dict[str, str]]:
    """The environment of a process that is to find two nodes of one core each."""
    # pytest's own folders are too long for Ray's sockets; its last processes may still write while this one goes.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        asked = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_TMPDIR": folder}
        environment = {**os.environ, **asked}
        command = [sys.executable, "-c", NODES]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as nodes:
            assert nodes.stdin is not None
            assert nodes.stdout is not None
            address = nodes.stdout.readline().strip()
            assert address.startswith(ADDRESSES[0]), "the nodes did not start"
            yield {**environment, "RAY_ADDRESS": address}
            nodes.communicate("\n", timeout=60)


def run(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def nodes_of_trials(run: RunFolder) -> set[str]:
    """Where Ray ran a search's trials."""
    (state,) = (run.path / "ray").glob("experiment_state-*.json")
    trials = json.loads(state.read_text())["trial_data"]
    return {json.loads(metadata)["last_result"]["node_ip"] for _, metadata in trials}


def test_a_search_runs_on_both_nodes_and_is_ranked(on_cluster, small_store, tmp_path):
    (tmp_path / "mixed.yaml").write_text(yaml.safe_dump(MIXED))
    given = [
        "--data",
        small_store.path,
        "--space",
        tmp_path / "mixed.yaml",
        "--runs",
        tmp_path,
        "--name",
        "run",
    ]
    run([*LAUNCH, *given, "--address", "auto", "--trials", 4, "--folds", 2], on_cluster)
    ended = RunFolder.open(tmp_path / "run")
    assert [trial.state for trial in open_study(ended.journal).trials] == [TrialState.COMPLETE] * 4
    assert [len(record.epochs) for record in ended.trial_records()] == [2] * 4
    assert nodes_of_trials(ended) == set(ADDRESSES)
    ranked = pd.read_csv(ended.results / "ranked.csv")
    assert ranked["rank"].tolist()[:4] == [1, 2, 3, 4]


def test_a_local_search_beside_a_cluster_has_a_ray_of_its_own_that_only_this_machine_reaches(on_cluster):
    told = json.loads(run([sys.executable, "-c", LOCAL], on_cluster))
    assert told["nodes"] == ["127.0.0.1"]
    assert not told["dashboard"]
    assert set(told["listens on"]) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
