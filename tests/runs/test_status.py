"""How a search is getting on, told from the signs that its driver left."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.errors import InputError
from ichtune.runs.driver import SIGN, Driver
from ichtune.runs.folder import RunFolder
from ichtune.runs.status import Status
from tests.made_up.records import new_run, request


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return new_run(tmp_path / "runs" / "mine", request())


def sign(run: RunFolder, *, seconds_ago: float, host: str = "elsewhere", ended: str | None = None) -> None:
    seen = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    about = {"host": host, "pid": 7, "done_before": 0, "began": (seen - timedelta(minutes=5)).isoformat()}
    (run.path / SIGN).write_text(json.dumps(about | {"seen": seen.isoformat(), "ended": ended}))


def shown(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def test_a_driver_elsewhere_is_at_work_as_long_as_it_gives_signs(run):
    sign(run, seconds_ago=3)
    assert Status.of(run).is_driven
    assert "searching since" in shown("status", str(run))
    sign(run, seconds_ago=3600)
    assert not Status.of(run).is_driven
    output = shown("status", str(run))
    assert (
        "gone: it was killed, or its machine was lost; last sign 60 min ago; process 7 on elsewhere" in output
    )
    assert f"--runs {run.runs} --resume mine" in output


def test_a_driver_here_that_no_longer_holds_the_run_is_gone(run):
    Driver.begin(0).write(run.path)
    assert not Status.of(run).is_driven
    with run.locked():
        assert Status.of(run).is_driven


def test_why_a_search_ended_is_shown(run):
    sign(run, seconds_ago=10, ended="the disk is full")
    assert "ended (the disk is full)" in shown("status", str(run))


def test_the_time_left_is_that_of_the_pace_since_the_driver_began(run, monkeypatch):
    sign(run, seconds_ago=0)
    wanted = run.request.settings.trials
    monkeypatch.setattr("ichtune.runs.status.settled_trials", lambda run: 10)
    assert Status.of(run).seconds_left == pytest.approx(300 / 10 * (wanted - 10))


def test_runs_of_before_and_damaged_signs_are_told(run):
    assert "unknown" in shown("status", str(run))
    assert "has no log" in CliRunner().invoke(app, ["logs", str(run)]).exception.args[0]  # ty: ignore[unresolved-attribute]
    (run.path / SIGN).write_text("{}")
    with pytest.raises(InputError, match=r"driver\.json: damaged"):
        Status.of(run)


def test_only_a_uri_is_fetched_and_not_over_something_else(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    there = f"file://{run.path}"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for arguments, message in {
        (str(run.path),): "is a folder, not a URI",
        (f"file://{tmp_path}/none",): "no search run here",
        (there, str(tmp_path / "full")): "is not empty, and no search run",
    }.items():
        with pytest.raises(InputError, match=message):
            CliRunner().invoke(app, ["fetch", *arguments], catch_exceptions=False)
    shown("fetch", there, str(tmp_path / "home"))
    assert RunFolder.open(tmp_path / "home").request == run.request
