"""Runs at URIs: a file system of pyarrow's, and S3 by a stand-in on loopback."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.recipe import Recipe
from ichtune.remote import Remote, below
from ichtune.runs.elsewhere import watched
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import settled_trials
from ichtune.training.checkpoint import load_checkpoint, save_checkpoint
from tests.made_up.bucket import Bucket, bucket
from tests.made_up.records import new_run, request
from tests.made_up.spaces import SMALL


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def uri(tmp_path) -> str:
    return f"file://{tmp_path}/place"


def test_what_is_pushed_is_pulled_elsewhere_and_only_changes_are_sent(uri, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "a").mkdir(parents=True)
    (here / "a" / "one.txt").write_text("1")
    (here / ".hidden").write_text("no")
    remote, sent = Remote(uri), {}
    remote.push(here, sent)
    (tmp_path / "place" / "a" / "one.txt").write_text("changed at the place")
    (here / "two.txt").write_text("2")
    remote.push(here, sent)
    Remote(uri).pull(there)
    assert (there / "a" / "one.txt").read_text() == "changed at the place"
    assert (there / "two.txt").read_text() == "2"
    assert not (there / ".hidden").exists()


def test_a_reader_elsewhere_sees_a_file_whole_while_another_version_is_sent(uri, tmp_path):
    remote, here, sent = Remote(uri), tmp_path / "here", {}
    here.mkdir()
    (here / "driver.json").write_text("{}")
    remote.push(here, sent)
    with open(tmp_path / "place" / "driver.json") as reader:
        (here / "driver.json").write_text("{1: 2}")
        remote.push(here, sent)
        assert reader.read() == "{}"
    assert list(remote.files()) == ["driver.json"]
    assert remote.read("driver.json") == b"{1: 2}"


def test_a_file_that_was_not_sent_to_its_end_is_not_fetched(uri, tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "results.csv.1234abcd.unfinished").write_text("half")
    assert Remote(uri).pull(tmp_path / "there") == 0


def test_names_go_before_what_follows_a_question_mark():
    place = below("s3://bucket/runs?endpoint_override=http://127.0.0.1:9", "try")
    assert place == "s3://bucket/runs/try?endpoint_override=http://127.0.0.1:9"
    assert Remote(place).parent.uri == "s3://bucket/runs?endpoint_override=http://127.0.0.1:9"


def test_a_run_at_a_uri_is_not_overwritten_and_opens_without_its_copy_here(uri, cache):
    new_run(uri, request(seed=7))
    with pytest.raises(InputError, match="already here"):
        new_run(uri, request())
    for file in sorted(cache.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    assert RunFolder.open(uri).request == request(seed=7)


def test_a_command_neither_sets_a_running_driver_back_nor_what_it_has_uploaded(uri):
    driver = new_run(uri, request())
    driver.journal.write_text("one\n")
    driver.push()
    driver.journal.write_text("one\ntwo\n")
    ranked = RunFolder.open(uri)
    assert driver.journal.read_text() == "one\ntwo\n"
    driver.push()
    ranked.results.mkdir()
    (ranked.results / "ranked.csv").write_text("by trial one")
    ranked.push()
    assert Remote(uri).read("study.journal") == b"one\ntwo\n"
    assert Remote(uri).read("results/ranked.csv") == b"by trial one"


def test_what_a_killed_driver_had_yet_to_upload_is_kept_and_uploaded_by_the_next(uri):
    killed = new_run(uri, request())
    killed.journal.write_text("one\n")
    killed.push()
    killed.journal.write_text("one\ntwo\n")
    resumed = RunFolder.at(uri)
    resumed.pull()
    resumed.push()
    assert Remote(uri).read("study.journal") == b"one\ntwo\n"


def test_a_copy_of_an_earlier_run_at_the_uri_is_neither_ranked_nor_uploaded(uri, tmp_path):
    for name in ("0000-earlier", "0000-later"):
        shutil.rmtree(tmp_path / "place", ignore_errors=True)
        run = new_run(uri, request())
        run.journal.write_text(f'{{"worker_id": "{name}"}}\n')
        run.push()
        trial = run.trial(name)
        trial.begin(0, {}, Recipe(), None, done=0)
        trial.push()
        ranked = RunFolder.open(uri)
        ranked.results.mkdir()
        (ranked.results / f"{name}.csv").write_text("1")
    ranked.push()
    assert [folder.path.name for folder in RunFolder.open(uri).trial_folders()] == ["0000-later"]
    assert [path.name for path in (tmp_path / "place" / "results").iterdir()] == ["0000-later.csv"]


def test_a_copy_is_kept_while_its_uri_is_away(uri, tmp_path):
    run = new_run(uri, request())
    run.journal.write_text("{}\n")
    run.push()
    copy = RunFolder.open(uri)
    (copy.path / "retrain").mkdir()
    (tmp_path / "place").rename(tmp_path / "not mounted")
    for look in (watched, RunFolder.open):
        with pytest.raises(InputError, match="no search run here"):
            look(uri)
    assert (copy.path / "retrain").is_dir()


def test_a_command_knows_that_a_search_is_running_on_this_machine(uri):
    driver = new_run(uri, request())
    with driver.locked():
        assert RunFolder.open(uri).is_searching
        with pytest.raises(InputError, match="another process is searching"), RunFolder.open(uri).locked():
            pass
    assert not RunFolder.open(uri).is_searching


def test_a_trial_that_goes_on_on_another_machine_finds_its_checkpoint(uri, monkeypatch, tmp_path):
    trial = new_run(uri, request()).trial("0000-x")
    trial.begin(0, {}, Recipe(), None, done=0)
    save_checkpoint(trial.checkpoint, {"epoch": 1})
    trial.push()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other machine"))
    other = RunFolder.at(uri).trial("0000-x")
    other.fetch()
    assert load_checkpoint(other.checkpoint) == {"epoch": 1}
    other.drop_checkpoint()
    assert not (tmp_path / "place" / "trials" / "0000-x" / "checkpoint.pt").exists()


@pytest.mark.parametrize("uri", ["nothing://place/run", "s3://bucket/run?bogus=1"])
def test_a_uri_that_leads_nowhere_is_told_in_one_line(uri):
    with pytest.raises(InputError, match=re.escape(uri)):
        RunFolder.open(uri)


@pytest.fixture
def s3(tmp_path, monkeypatch) -> Iterator[Bucket]:
    with bucket(tmp_path, monkeypatch) as started:
        yield started


@pytest.mark.timeout(240)
def test_a_search_at_s3_goes_on_from_there_on_a_machine_without_a_copy(
    s3, one_core, banked_store, tmp_path, monkeypatch
):
    space = {**SMALL, "augmentation": "normal", "training": {"epochs": 2, "batch_size": 8}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(space))
    data, runs, bank = s3.uri("store"), s3.uri("runs"), tmp_path / "bank"
    shutil.move(banked_store / "bank", bank / SliceStore.open(banked_store).fingerprint)
    Remote(data).push(banked_store, {})
    given = ["--data", data, "--bank", str(bank), "--space", str(tmp_path / "small.yaml"), "--folds", "3"]
    search("--runs", runs, "--name", "try", "--trials", "2", "--max-concurrent", "1", *given)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    again = search("--runs", runs, "--resume", "try", "--trials", "3")
    assert "2 of 3 trials are done, resuming" in again
    run = RunFolder.open(below(runs, "try"))
    assert settled_trials(run) == 3
    assert [len(record.epochs) for record in run.trial_records()] == [2] * 3
    assert (run.results / "ranked.csv").is_file()
    assert run.request.data == data
    place = below(runs, "try")
    assert "3 of 3 done" in shown("status", place)
    assert "searching on" in shown("logs", place)
    shown("fetch", place, str(tmp_path / "home"))
    assert "3 of 3" in shown("status", str(tmp_path / "home"))


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def search(*options: str) -> str:
    return shown("search", *options)
