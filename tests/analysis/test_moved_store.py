"""A run whose store was moved since: `--data` says where it is, and another store is refused."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from ichtune.commands import search_flow
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from tests.made_up.runs import made_up_run
from tests.made_up.stores import made_up_store


class Moved(NamedTuple):
    run: RunFolder
    old: Path
    new: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store and its run, for all tests of this module to copy."""
    folder = tmp_path_factory.mktemp("moved")
    made_up_run(folder / "runs", made_up_store(folder / "store", 600), 4)
    return folder


@pytest.fixture
def moved(whole: Path, tmp_path: Path) -> Moved:
    (run,) = shutil.copytree(whole / "runs", tmp_path / "runs").iterdir()
    new = Path(shutil.copytree(whole / "store", tmp_path / "new"))
    opened = RunFolder.open(run)
    text = (run / "search.yaml").read_text()
    (run / "search.yaml").write_text(text.replace(str(opened.request.data), str(tmp_path / "old")))
    return Moved(RunFolder.open(run), tmp_path / "old", new)


@pytest.mark.parametrize("name", ["rank", "report", "retrain"])
def test_a_store_that_is_gone_is_named_with_the_option_that_mends_it(moved, ichtune, name):
    code, _, errors = ichtune(name, moved.run)
    assert code == 2
    assert errors.startswith(f"error: {moved.old}: the store of this run is not here")
    assert "with --data" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("name", ["rank", "report", "retrain"])
def test_another_store_is_refused_with_both_fingerprints(moved, ichtune, prepared, name):
    code, _, errors = ichtune(name, moved.run, "--data", prepared.path)
    assert code == 2
    assert prepared.fingerprint in errors
    assert moved.run.request.fingerprint in errors


def test_data_is_where_the_store_is_now_for_one_command(moved, ichtune):
    before = (moved.run.path / "search.yaml").read_text()
    code, output, errors = ichtune("rank", moved.run, "--data", moved.new)
    assert (code, errors) == (0, "")
    assert "tables:" in output
    assert (moved.run.path / "search.yaml").read_text() == before
    assert ichtune("rank", moved.run)[0] == 2


def test_runs_that_are_compared_have_the_one_store(moved, ichtune, tmp_path):
    other = shutil.copytree(moved.run.path, tmp_path / "runs" / "other")
    code, output, errors = ichtune("rank", moved.run, "--compare", other, "--data", moved.new)
    assert (code, errors) == (0, "")
    assert "other" in output


@pytest.mark.parametrize("dry_run", [False, True])
def test_resume_writes_down_where_the_store_of_a_finished_run_is(moved, dry_run):
    trials = moved.run.request.settings.trials
    console = Console(record=True, width=200)
    code = search_flow.resume(
        moved.run.runs,
        moved.run.name,
        {"trials": min(trials, 4)},
        console,
        data=moved.new,
        space=None,
        changes={},
        dry_run=dry_run,
    )
    assert code == 0
    assert "trials are done" in console.export_text()
    assert RunFolder.open(moved.run.path).request.data == (moved.old if dry_run else moved.new)


def test_a_relative_place_is_written_down_whole(moved, monkeypatch):
    monkeypatch.chdir(moved.new.parent)
    opened = RunFolder.open(moved.run.path, Path("new"))
    assert opened.request.data == moved.new
    assert opened.request.open_store().fingerprint == SliceStore.open(moved.new).fingerprint
