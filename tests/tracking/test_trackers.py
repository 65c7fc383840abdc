"""A search in MLflow and in W&B: everything is there once, whatever breaks, and nothing leaves the machine."""

import os
import shutil
import sqlite3
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.json_text import read_json_lines
from ichtune.runs.folder import RunFolder
from ichtune.tracking import sending
from ichtune.tracking.sending import send, send_all
from ichtune.tracking.trackers import checked, trackers
from tests.made_up.runs import made_up_run

# SQLAlchemy's about what MLflow asks of it.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
TRIALS = 6


@pytest.fixture(scope="module")
def searched(made_up: tuple[SliceStore, RunFolder], tmp_path_factory) -> RunFolder:
    """A finished search with its tables; nobody writes into it."""
    run = made_up_run(tmp_path_factory.mktemp("searched"), made_up[0], TRIALS)
    (run.results / "pictures").mkdir(parents=True)
    (run.results / "ranked.csv").write_text("trial,auc\n")
    (run.results / "pictures" / "roc.png").write_bytes(b"png")
    (run.path / "report.html").write_text("<p>report</p>")
    return run


@pytest.fixture
def run(searched: RunFolder, tmp_path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(searched.path, tmp_path / "runs" / searched.name)))


def epochs_of(run: RunFolder) -> dict[str, list[float]]:
    """The AUC of every epoch by trial, from the files."""
    files = sorted(run.trials.glob("*/epochs.jsonl"))
    return {file.parent.name: [line["mean"]["auc"] for line in read_json_lines(file)] for file in files}


def select(run: RunFolder, query: str) -> list[tuple]:
    with closing(sqlite3.connect(run.path.parent / "mlflow.db")) as database:
        return database.execute(query).fetchall()


def in_mlflow(run: RunFolder) -> dict[str, list[float]]:
    """The AUC of every epoch by trial, from MLflow's database."""
    query = "SELECT name, value FROM metrics JOIN runs USING (run_uuid) WHERE key = 'valid/auc' ORDER BY name, step"
    found: dict[str, list[float]] = {}
    for name, value in select(run, query):
        found.setdefault(name, []).append(value)
    return found


def sent_to_mlflow(run: RunFolder) -> None:
    send(run, trackers("mlflow", run)[0])


def test_mlflow_has_each_trial_and_each_epoch_once_however_often_it_is_sent(run):
    for _ in range(2):
        sent_to_mlflow(run)
    assert in_mlflow(run) == epochs_of(run)
    names = [name for (name,) in select(run, "SELECT name FROM runs")]
    assert sorted(names) == sorted([run.name, *epochs_of(run)])
    [(parent,)] = select(run, f"SELECT run_uuid FROM runs WHERE name = '{run.name}'")
    children = select(run, f"SELECT * FROM tags WHERE key = 'mlflow.parentRunId' AND value = '{parent}'")
    assert len(children) == TRIALS
    assert select(run, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    [(rate,)] = select(
        run,
        "SELECT value FROM params JOIN runs USING (run_uuid) WHERE key = 'optimizer.lr' AND name LIKE '0000%'",
    )
    assert float(rate) == next(run.trial_records()).recipe.optimizer.lr
    artifacts = run.path.parent / "mlflow.artifacts"
    assert {file.name for file in artifacts.rglob("*.*")} >= {"ranked.csv", "roc.png", "report.html"}


def test_a_search_killed_halfway_and_resumed_is_in_mlflow_once(searched, run):
    whole = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(whole[: 3 * len(whole) // 4]))
    last = sorted(run.trials.glob("*/epochs.jsonl"))[-1]
    last.write_text(last.read_text().splitlines(keepends=True)[0])
    sent_to_mlflow(run)
    assert in_mlflow(run) == epochs_of(run)
    assert ("KILLED",) in select(run, "SELECT DISTINCT status FROM runs")
    shutil.copytree(searched.path, run.path, dirs_exist_ok=True)  # as a resumed search completes it
    sent_to_mlflow(run)
    assert in_mlflow(run) == epochs_of(searched)
    assert select(run, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    assert len(select(run, "SELECT * FROM runs")) == TRIALS + 1


def test_a_server_that_goes_away_costs_nothing_but_a_line(run, monkeypatch):
    """It fails after an epoch has arrived that the sender doesn't know of, as with a lost answer."""
    from mlflow import MlflowClient

    monkeypatch.setattr(sending, "EVERY_S", 0.05)
    monkeypatch.setattr(sending, "_SHARE", 0)
    calls, real = Counter[str](), MlflowClient.log_batch

    def unreliable(client: Any, *given: Any, **more: Any) -> None:
        calls["all"] += 1
        real(client, *given, **more)
        if calls["all"] == 7:
            raise ConnectionError("the server is gone\nfor good")

    monkeypatch.setattr(MlflowClient, "log_batch", unreliable)
    told: list[str] = []
    with sending.sending(run, trackers("mlflow", run), told.append):
        deadline = time.monotonic() + 60
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert "the server is gone; the search goes on" in told[0]
    assert "works again" in told[1]
    assert in_mlflow(run) == epochs_of(run)
    assert len(select(run, "SELECT * FROM runs")) == TRIALS + 1


def records(file: Path) -> Iterator[Any]:
    """What `wandb sync` would upload of a run: the records of a file in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or its last part
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def in_wandb(run: RunFolder) -> dict[str, list[float]]:
    """The AUC of every epoch by trial, from everything that is to be synchronized."""
    found = {}
    for file in run.path.glob("wandb/offline-run-*/*.wandb"):
        epochs = []
        for record in records(file):
            if record.WhichOneof("record_type") == "run":
                name, group = record.run.display_name, record.run.run_group
                assert group == run.name
                assert record.run.host != os.uname().nodename
            if record.WhichOneof("record_type") == "history":
                epochs += [float(i.value_json) for i in record.history.item if i.nested_key == ["valid/auc"]]
        assert name not in found
        found[name] = epochs
    return found


def test_wandb_is_offline_and_has_each_trial_and_each_epoch_once(run, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for _ in range(2):
        send(run, checked("wandb", run)[0])
    assert in_wandb(run) == epochs_of(run) | {run.name: []}
    # Killed after a run was written, and before that was noted.
    (run.path / "wandb" / "sent.json").unlink()
    send(run, checked("wandb", run)[0])
    assert in_wandb(run) == epochs_of(run) | {run.name: []}
    RunFolder.open(run.path)  # nothing in it leads out of the run


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("mlfow", "did you mean 'mlflow'"),
        ("mlflow,", "'' is not one of mlflow, wandb"),
        ("mlflow:mlruns", r"must be a server \(http://HOST:PORT\) or a database"),
        ("mlflow:http://me:secret@host", "MLFLOW_TRACKING_PASSWORD"),
        ("mlflow:http://127.0.0.1:9", "can't be used"),
        (f"mlflow:sqlite:///{__file__}", "not a database"),
        ("wandb:onlin", "did you mean 'online'"),
    ],
)
def test_a_tracker_that_cant_be_used_is_refused_before_any_work(run, log, message):
    with pytest.raises(InputError, match=message):
        checked(log, run)


def test_a_search_that_logs_by_itself_is_left_to_it(run, ichtune):
    request = run.request
    run.write(replace(request, settings=replace(request.settings, log="mlflow")))
    with run.locked():
        code, _, errors = ichtune("log", run.path, "--to", "mlflow")
    assert (code, "logs by itself" in errors) == (2, True)


def test_what_a_run_lacks_is_sent_by_a_command_of_its_own(run, ichtune):
    code, output, _ = ichtune("log", run.path, "--to", "mlflow")
    assert (code, in_mlflow(run)) == (0, epochs_of(run))
    assert f"mlflow ui --backend-store-uri sqlite:///{run.path.parent}/mlflow.db" in output
    code, _, errors = ichtune("log", run.path, "--to", "mlflow:http://127.0.0.1:9")
    assert code == 2
    assert errors.count("\n") == 1
    [problem] = send_all(run, trackers("mlflow:http://127.0.0.1:9", run))
    assert f"ichtune log {run} --to mlflow:http://127.0.0.1:9" in problem
