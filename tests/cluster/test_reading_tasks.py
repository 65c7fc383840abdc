"""Preparing a store on the nodes of a cluster."""

import filecmp
from collections.abc import Iterator

import pytest

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from tests.made_up.nodes import Nodes, two_nodes

pytestmark = pytest.mark.timeout(240)

# `ichtune prepare` whose tasks wait, each on its node, until told to go on.
WAITING = """
import os, sys, time
from pathlib import Path
from ray import cloudpickle
import ichtune.data.prepare as preparation
from ichtune.cli import main
from ichtune.data.reading import Reader

class Waiting(Reader):
    go_on = Path(os.environ["GO_ON"])

    def __call__(self, first, places):
        self.go_on.with_name(f"begun-{first}").touch()
        while not self.go_on.exists():
            time.sleep(0.1)
        return super().__call__(first, places)

preparation.Reader = Waiting
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
main()
"""
SMALL = ["--size", "32", "--folds", "3", "--max-rejected", "0.5"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


def test_a_store_has_the_same_bytes_after_a_node_died_and_another_came(cluster, rsna_folder, tmp_path):
    source = rsna_folder(patients=45, size=32)
    damaged = sorted(source.rglob("*.dcm"))[70]
    damaged.write_bytes(damaged.read_bytes()[:400])
    here = prepare(
        source, tmp_path / "here", PrepareOptions(size=32, folds=3, workers=1, max_rejected=0.5)
    ).store
    output = cluster.disturb(
        WAITING,
        ["prepare", source, tmp_path / "there", *SMALL],
        tmp_path / "go-on",
        under_way=lambda: len(list(tmp_path.glob("begun-*"))) >= 2,
    )
    names = ["digests.npy", "hu.npy", "rejected.csv", "slices.parquet", "store.json"]
    assert filecmp.cmpfiles(here.path, tmp_path / "there", names, shallow=False) == (names, [], [])
    assert here.fingerprint in output
    assert not (tmp_path / "there.partial").exists()


def test_workers_and_an_address_exclude_each_other(ichtune, tmp_path):
    code, _, errors = ichtune("prepare", tmp_path, tmp_path / "store", "--address", "auto", "--workers", 2)
    assert code == 2
    assert "omit --workers" in errors
