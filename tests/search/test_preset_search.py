"""A preset of a published study, by a real search that is logged to both trackers."""

import sqlite3
from contextlib import closing

import pytest

from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from tests.training.test_presets import SMALL

pytestmark = [
    pytest.mark.timeout(300),
    # SQLAlchemy's about what MLflow asks of it.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def test_balancing_tries_the_four_ways_of_its_study_and_logs_them(small_store: SliceStore, tmp_path, ichtune):
    changes = {**SMALL, "model.backbone": "efficientnet_lite0", "training.epochs": 1}
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    options = ("--trials", 4, "--grace", 1, "--views", 2, "--folds", 3, "--max-concurrent", 2)
    place = ("--runs", tmp_path / "runs", "--name", "parts", "--log", "mlflow,wandb:offline")
    code, output, errors = ichtune(
        "search", "--data", small_store.path, "--space", "balancing", *options, *place, *sets
    )
    assert code == 0, output + errors
    run = RunFolder(tmp_path / "runs" / "parts")
    trials = list(run.trial_records())
    assert [trial.point for trial in trials] == ["baseline", "pos-weight", "oversampling", "augmentation"]
    assert output.count("logged to:") == 2
    with closing(sqlite3.connect(tmp_path / "runs" / "mlflow.db")) as database:
        logged = {name for (name,) in database.execute("SELECT name FROM runs WHERE status = 'FINISHED'")}
    assert logged == {"parts", *(trial.folder.name for trial in trials)}
    assert len(list(run.path.glob("wandb/offline-run-*/*.wandb"))) == 5
    assert list((tmp_path / "runs" / "mlflow.artifacts").rglob("report.html"))
