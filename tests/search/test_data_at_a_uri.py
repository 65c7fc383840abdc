"""A search on nodes that share nothing but its runs: each keeps a copy of the store."""

import filecmp

import pytest
import yaml

from ichtune.remote import Remote
from ichtune.runs.folder import RunFolder
from tests.made_up.bucket import bucket
from tests.made_up.nodes import ADDRESSES, two_nodes
from tests.made_up.spaces import SMALL
from tests.search.test_two_nodes import WAITING

pytestmark = pytest.mark.timeout(300)

IMAGES = SMALL | {
    "model": {"backbone": "fcn", "widths": [8, 8, 8], "weights": "random", "size": 32, "train": "all"},
    "augmentation": "normal",
    "training": {"epochs": 3, "batch_size": 8, "precision": "float32"},
}
FILES = ["digests.npy", "hu.npy", "slices.parquet", "store.json"]


def test_trials_that_start_together_on_a_node_copy_the_store_once(prepared, tmp_path, monkeypatch):
    (tmp_path / "images.yaml").write_text(yaml.safe_dump(IMAGES))
    run = RunFolder.at(tmp_path / "runs" / "run")
    with bucket(tmp_path, monkeypatch) as away, two_nodes(tmp_path / "caches") as nodes:
        Remote(away.uri("heads")).push(prepared.path, {})
        given = [
            "--data",
            away.uri("heads"),
            "--space",
            tmp_path / "images.yaml",
            "--runs",
            tmp_path / "runs",
        ]
        nodes.disturb(
            WAITING,
            # Two trials at once on each node.
            ["search", *given, "--name", "run", "--trials", 4, "--cpus-per-trial", 0.5, "--grace", 3],
            tmp_path / "go-on",
            under_way=lambda: len(list(run.trials.glob("*/checkpoint.pt"))) == 4,
        )
        copies = sorted((tmp_path / "caches").glob("*/ichtune/stores/*/heads"))
        assert away.downloads("heads/hu.npy") == len(copies)
    # The node that is added has a copy if it came to run a trial.
    assert [copy.relative_to(tmp_path / "caches").parts[0] for copy in copies[:2]] == ADDRESSES
    for copy in copies:
        assert filecmp.cmpfiles(prepared.path, copy, FILES, shallow=False) == (FILES, [], [])
    assert [len(record.epochs) for record in run.trial_records()] == [3] * 4
