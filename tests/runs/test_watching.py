"""Status, logs and fetch: a search looked at from another place, also while it is under way."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ichtune.cli import app, main
from ichtune.errors import InputError
from ichtune.recipe import Recipe
from ichtune.remote import Remote
from ichtune.runs.driver import reporting
from ichtune.runs.folder import RunFolder
from ichtune.space import Space
from tests.made_up.records import epoch, new_run, request


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run at a URI, with a trial of two epochs, scored 0.6 and 0.8, that failed once."""
    run = new_run(f"file://{tmp_path}/place/try", request(Space.parse({"metric": "auc"}, "auc"), trials=3))
    trial = run.trial("0000-x")
    trial.begin(0, {}, Recipe(), None, done=0)
    for number, score in enumerate((0.6, 0.8)):
        trial.add_epoch(epoch(number + 1, {"auc": score}, objective=score))
    trial.keep_error("Traceback\nRuntimeError: out of luck")
    return run


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.timeout(60)
def test_the_status_of_a_search_is_seen_from_elsewhere_while_it_runs_and_after(run):
    with reporting(run, done_before=0):
        while not Remote(str(run)).has("driver.json"):
            time.sleep(0.01)
        during = shown("status", str(run))
    after = shown("status", str(run))
    assert "0 of 3 done, 1 running" in during
    assert "auc 0.8000 by 0000-x" in during
    assert "driver:  searching on " in during
    assert "running" not in after
    assert "driver:  ended " in after


def test_a_driver_that_was_killed_is_not_taken_for_a_living_one(run):
    with reporting(run, done_before=0):
        pass
    last = json.loads((run.path / "driver.json").read_text())
    (run.path / "driver.json").write_text(json.dumps(last | {"ended": None, "seen": time.time() - 3600}))
    run.push()
    assert "killed or its machine is gone; last seen 60 min ago" in shown("status", str(run))


def test_the_log_of_the_driver_and_the_errors_of_a_trial_are_read_from_elsewhere(run):
    run.note("best so far: auc 0.8")
    with pytest.raises(ValueError, match="bad luck"), reporting(run, done_before=0):
        raise ValueError("bad luck")
    log = shown("logs", str(run))
    assert "best so far: auc 0.8" in log
    assert "ended by ValueError: bad luck" in log
    assert "RuntimeError: out of luck" in shown("logs", str(run), "0")
    with pytest.raises(InputError, match="no trial '7'"):
        shown("logs", str(run), "7")


def test_a_fetch_brings_what_is_new_and_goes_on_where_another_broke_off(run, tmp_path, monkeypatch):
    monkeypatch.setattr("ichtune.remote.SAME_TIME_NS", -(10**12))  # as if all were older than a moment
    home = tmp_path / "home"
    first = shown("fetch", str(run), str(home))
    assert f"({len(Remote(str(run)).files())} new files)" in first
    (home / "trials" / "0000-x" / "epochs.jsonl").unlink()
    run.note("one more line")
    run.push()
    assert "(2 new files)" in shown("fetch", str(run), str(home))
    assert "(0 new files)" in shown("fetch", str(run), str(home))
    assert RunFolder.open(home).request == run.request


def test_a_fetch_overwrites_nothing_else(run, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="something else is already here"):
        shown("fetch", str(run), str(tmp_path / "home"))


@pytest.mark.parametrize("command", ["status", "logs", "fetch"])
def test_a_place_without_a_run_is_told_in_one_line(command, tmp_path, capsys, monkeypatch):
    uri = f"file://{tmp_path}/nothing"
    monkeypatch.setattr("sys.argv", ["ichtune", command, uri])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.count("\n") == 1
    assert uri in told
    assert "no search run here" in told
    assert not Path("runs/nothing").exists()
