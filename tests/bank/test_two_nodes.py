"""Building the feature bank on the nodes of a cluster."""

import filecmp
from collections.abc import Iterator

import pytest
import yaml

from ichtune.bank.build import build
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space
from tests.made_up.nodes import Nodes, two_nodes
from tests.made_up.spaces import SMALL

pytestmark = pytest.mark.timeout(240)

# `ichtune search`, whose tasks for the bank's second views wait, each on its node, until told to go on.
WAITING = """
import os, sys, time
from pathlib import Path
from ray import cloudpickle
import ichtune.cluster.bank_tasks as tasks
from ichtune.bank.build import compute_chunk
from ichtune.cli import main

go_on = Path(os.environ["GO_ON"])

def waiting(part, chunk, *, threads):
    if part.key.view:
        go_on.with_name(f"begun-{part.key.digest}").touch()
        while not go_on.exists():
            time.sleep(0.1)
    return compute_chunk(part, chunk, threads=threads)

tasks.compute_chunk = waiting
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
main()
"""
SPACE = SMALL | {
    "augmentation": {"choice": ["normal", "moderate", "aggressive"]},
    "training": {"epochs": 1, "batch_size": 8, "precision": "float32"},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


def test_a_bank_has_the_same_bytes_after_a_node_died_and_another_came(cluster, prepared, tmp_path):
    settings = SearchSettings(folds=1, views=3, engine="torch", bank=tmp_path / "here")
    planned = plan(prepared.path, Space.parse(SPACE, "bank.yaml"), settings)
    build(planned.parts)
    (tmp_path / "bank.yaml").write_text(yaml.safe_dump(SPACE))
    asked = ["--data", prepared.path, "--space", tmp_path / "bank.yaml", "--bank", tmp_path / "there"]
    more = ["--runs", tmp_path / "runs", "--trials", 1, "--folds", 1, "--views", 3]
    cluster.disturb(
        WAITING,
        ["search", *asked, *more],
        tmp_path / "go-on",
        under_way=lambda: len(list(tmp_path.glob("begun-*"))) >= 2,
    )
    here, there = (tmp_path / place / prepared.fingerprint for place in ("here", "there"))
    names = [
        f"{part.key.digest}/{name}"
        for part in planned.parts
        for name in ("features.npy", "features.sha256", "key.json")
    ]
    assert len(names) == 3 * (1 + 2 * 3)  # the level normal has one view
    assert filecmp.cmpfiles(here, there, names, shallow=False) == (names, [], [])
    assert not list(there.glob("*/chunks"))
