"""A preset of a published study, by a real search."""

import pytest

from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from tests.training.test_presets import SMALL

pytestmark = pytest.mark.timeout(300)


def test_balancing_tries_the_four_ways_of_its_study(small_store: SliceStore, tmp_path, ichtune):
    changes = {**SMALL, "model.backbone": "efficientnet_lite0", "training.epochs": 1}
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    options = ("--trials", 4, "--grace", 1, "--views", 2, "--folds", 3, "--max-concurrent", 2)
    place = ("--runs", tmp_path / "runs", "--name", "parts")
    code, output, errors = ichtune(
        "search", "--data", small_store.path, "--space", "balancing", *options, *place, *sets
    )
    assert code == 0, output + errors
    trials = RunFolder(tmp_path / "runs" / "parts").trial_records()
    assert [trial.point for trial in trials] == ["baseline", "pos-weight", "oversampling", "augmentation"]
