"""The whole chain by its commands, on a real local Ray."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.cluster.connection import connected
from ichtune.commands.search_flow import resume as resume_command
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import open_study, settled_trials, trial_ends
from ichtune.search.plan import Plan, plan
from ichtune.search.resume import resume
from ichtune.space import Space
from ichtune.wording import pasteable
from tests.made_up.bomb import Bomb
from tests.made_up.dicom import write_rsna
from tests.made_up.spaces import SMALL

LAUNCH = [sys.executable, str(Path(__file__).parents[2] / "launch.py")]
pytestmark = pytest.mark.timeout(240)


def options(folder: Path, *more: object) -> list[str]:
    given = ["--data", folder / "store", "--space", folder / "small.yaml", "--runs", folder / "runs"]
    return [str(word) for word in (*given, "--folds", 3, "--views", 2, "--max-concurrent", 1, *more)]


def search(options: list[str]) -> str:
    """What a search in this process, which has imported everything already, prints until it is done."""
    done = CliRunner().invoke(app, ["search", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Traceback" not in done.stderr
    return done.stdout


@contextmanager
def launched(
    options: list[str], environment: dict[str, str] | None = None
) -> Generator[subprocess.Popen[str]]:
    """A search in a process group of its own, to be ended by a signal."""
    command, pipe = [*LAUNCH, *options], subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as search:
        try:
            yield search
        finally:
            search.kill()


def end(search: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """How a search ends, within seconds and with all of its processes, when its whole group is sent a signal."""
    family = psutil.Process(search.pid).children(recursive=True)
    assert "raylet" in {process.name() for process in family}
    os.killpg(search.pid, number)
    output, errors = search.communicate(timeout=30)
    assert not [process for process in family if process.is_running()]
    return search.returncode, output, errors


def wait_for_trials(search: subprocess.Popen[str], run: Path, count: int) -> None:
    """Wait until so many trials of a search have begun."""
    wait_for(search, lambda: len(list((run / "trials").glob("*/epochs.jsonl"))) >= count)


def wait_for(search: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    for _ in range(1200):
        if happened():
            return
        if search.poll() is not None:
            raise RuntimeError(f"the search ended by itself: {search.communicate()[1]}")
        time.sleep(0.1)
    raise TimeoutError("not in two minutes")


@pytest.fixture(scope="module")
def shared_ray(one_core) -> Generator[None]:
    """One local Ray for all searches in this process, whose processes needn't start and import anew for each."""
    with connected(None) as capacity, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ichtune.search.search.connected", lambda address: nullcontext(capacity))
        yield


@pytest.fixture(scope="module")
def folder(prepared: SliceStore, shared_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a space, and a finished run of five trials named `try`."""
    folder = tmp_path_factory.mktemp("search")
    shutil.copytree(prepared.path, folder / "store")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    (folder / "output.txt").write_text(search(options(folder, "--trials", 5, "--name", "try", "--grace", 1)))
    return folder


def test_a_search_ends_every_trial_and_has_a_folder_for_each(folder):
    run = folder / "runs" / "try"
    trials = open_study(run / "study.journal").trials
    assert len(trials) == 5
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert trials[0].user_attrs["point"] == "baseline"
    for trial in trials:
        (trial_folder,) = (run / "trials").glob(f"{trial.number:04d}-*")
        assert len((trial_folder / "epochs.jsonl").read_text().splitlines()) == len(trial.intermediate_values)


def test_a_search_ranks_its_trials_on_the_screen_and_in_tables(folder):
    run = folder / "runs" / "try"
    table = pd.read_csv(run / "results" / "ranked.csv")
    assert table["rank"].tolist()[:5] == [1, 2, 3, 4, 5]
    assert (table["score"][:5].diff()[1:] <= 0).all()
    assert table["trial"].tolist()[5:] == ["always negative", "prevalence", "position"]
    assert {path.suffix for path in (run / "results").iterdir()} == {
        ".csv",
        ".md",
        ".tex",
        ".html",
        ".json",
        ".xlsx",
    }
    assert f"tensorboard --logdir {run / 'trials'}" in (folder / "output.txt").read_text().replace("\n", "")


def test_a_run_holds_all_that_was_asked_for(folder):
    asked = yaml.safe_load((folder / "runs" / "try" / "search.yaml").read_text())
    assert asked["fingerprint"] == SliceStore.open(folder / "store").fingerprint
    written = Space.parse(asked["space"], "search.yaml")
    precision = asked["space"]["training"]["precision"]  # the space leaves it to the machine
    assert written == Space.load(folder / "small.yaml").changed({"training.precision": precision})
    assert asked["settings"]["seed"] == 0


@pytest.fixture(scope="module")
def cutting(folder) -> Generator[subprocess.Popen[str]]:
    """A search of a run named `cut` that is at its sixth trial."""
    with launched(options(folder, "--trials", 500, "--name", "cut", "--grace", 1)) as search:
        wait_for_trials(search, folder / "runs" / "cut", 6)
        yield search


@pytest.fixture(scope="module")
def cut(cutting) -> tuple[int, str, str]:
    """How it ended when a batch system stopped it, and what it printed."""
    return end(cutting, signal.SIGTERM)


def test_a_run_is_not_resumed_while_another_process_searches_in_it(folder, cutting, ichtune):
    code, _, errors = ichtune("search", "--runs", folder / "runs", "--resume", "cut")
    assert cutting.poll() is None
    assert code == 2
    run = folder / "runs" / "cut"
    assert (
        errors == f"error: {run}: another process is searching in this run; wait for it, or stop it first\n"
    )


def test_one_trial_at_a_time_the_same_seed_gives_the_same_scores(folder, cut):
    one, other = (told(RunFolder.open(folder / "runs" / name))[:5] for name in ("try", "cut"))
    assert one == other


def told(run: RunFolder) -> list[tuple]:
    """What each trial of a run tried, what came of it after each epoch, and how it ended."""
    ends = trial_ends(run)
    return [
        (record.params, [epoch.folds for epoch in record.epochs], ends[record.number])
        for record in run.trial_records()
    ]


def test_sigterm_to_a_group_keeps_what_is_done_and_prints_the_table_so_far(folder, cut):
    code, output, errors = cut
    assert code == 130, errors
    assert "Traceback" not in errors
    assert "what varies" in output
    run = folder / "runs" / "cut"
    assert f"--runs {folder / 'runs'} --resume cut" in output
    assert TrialState.RUNNING not in [trial.state for trial in open_study(run / "study.journal").trials]
    assert (run / "results" / "ranked.csv").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_group_while_the_bank_is_built_ends_in_seconds_too(folder, number):
    name = f"bank-{number.name}"
    given = options(folder, "--name", name, "--views", 400, "--seed", int(number))
    with launched(given) as search:
        wait_for(search, (folder / "runs" / name / "search.yaml").is_file)
        time.sleep(2)  # by then the bank's tasks have begun
        code, output, errors = end(search, number)
    assert code == 130, errors
    assert "Traceback" not in errors
    assert f"--resume {name}" in output


def test_a_search_whose_trials_all_diverge_fails_and_offers_no_model(folder):
    diverging = ["--set", "optimizer={name: sgd, lr: 1e+38}", "--name", "diverging", "--trials", "2"]
    done = CliRunner().invoke(app, ["search", *options(folder, *diverging)], catch_exceptions=False)
    assert done.exit_code == 1, done.output
    assert "no trial has a score" in done.stdout
    assert "undefined ±" in done.stdout
    assert "best so far" not in done.stdout
    assert "retrain" not in done.stdout
    table = pd.read_csv(folder / "runs" / "diverging" / "results" / "ranked.csv")
    assert table.loc[table["ended"] == "diverged", ["score", "auc", "f1", "score_std"]].isna().all(axis=None)


def test_a_time_budget_says_that_it_ended_the_search_and_how_to_go_on(folder):
    shutil.copytree(folder / "runs" / "try", folder / "runs" / "limited")
    more = ["--resume", "limited", "--trials", "500", "--time-budget", "3"]
    told = search(["--runs", str(folder / "runs"), *more])
    assert re.search(r"the time budget of 3 s ended the search, with \d+ of 500 trials done", told)
    how = pasteable("ichtune", "search", "--runs", folder / "runs", "--resume", "limited")
    assert f"resume with: {how}" in told
    assert "what varies" in told


def test_a_dry_run_shows_its_plan_and_writes_nothing(folder, monkeypatch):
    monkeypatch.setenv("ICHTUNE_TRIALS", "11")
    assert "up to 11 by tpe" in search(options(folder, "--name", "plan", "--dry-run"))
    assert not (folder / "runs" / "plan").exists()


def planned(folder: Path, changes: dict[str, object], **settings: object) -> Plan:
    space = Space.load(folder / "small.yaml").changed(changes)
    given = {"name": "new", "runs": folder / "runs", "folds": 3, "views": 2, **settings}
    return plan(folder / "store", space, SearchSettings(**given))


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"optimizer.lrr": 1}, {}, "unknown key 'lrr'"),
        ({"model.backbone": "resnet81"}, {}, "did you mean 'resnet101'?|did you mean 'resnet18'?"),
        ({}, {"folds": 9}, "has 3 folds; must be 1 to 3, got 9"),
        ({}, {"name": "a/b"}, "must be a plain folder name"),
        ({}, {"name": "n" * 300}, "must be at most 255 bytes"),
        ({}, {"name": "try"}, "a run of this name is already here; choose another --name"),
        ({}, {"sampler": "magic"}, "'magic' is not one of"),
        ({}, {"sampler": "grid"}, "uniform"),
    ],
)
def test_wrong_input_is_told_before_anything_starts(folder, changes, settings, message):
    with pytest.raises(InputError, match=message):
        planned(folder, changes, **settings)


def test_a_grid_has_as_many_trials_as_combinations(folder):
    lr = {"name": "adam", "lr": {"choice": [1e-3, 1e-2]}}
    changes = {"model.dropout": {"choice": [0, 0.5]}, "optimizer": lr}
    assert planned(folder, changes, sampler="grid").settings.trials == 8
    assert planned(folder, changes, sampler="grid", trials=5).settings.trials == 5


def test_a_second_run_on_a_store_computes_no_features_again(folder):
    assert planned(folder, {}).missing_rows == 0
    assert planned(folder, {}, seed=1).missing_rows > 0


def test_a_plan_names_the_precision_that_its_bank_and_its_recipes_have(small_plan):
    [precision] = {variant.precision for variant in small_plan.space.models()}
    assert precision in ("bfloat16", "float32")
    assert {part.key.precision for part in small_plan.parts} == {precision}


@pytest.fixture(scope="module")
def resumed(folder) -> tuple[Path, str]:
    """A run of six trials whose driver was killed in the middle, and what going on with it to eight printed."""
    run = folder / "runs" / "killed"
    with launched(options(folder, "--trials", 6, "--name", "killed", "--max-failures", 1)) as driver:
        wait_for_trials(driver, run, 3)
    for stale in (run / "ray").glob("*.json"):  # Ray's own records are not what a search goes on from
        stale.write_text("{")
    for name in (
        "tuner",
        "trainable",
        "searcher-state-0",
        "search_gen_state-0",
        "error",
    ):  # nor is its code run
        (run / "ray" / f"{name}.pkl").write_bytes(pickle.dumps(Bomb(run / "mark")))
    return run, search(["--runs", str(folder / "runs"), "--resume", "killed", "--trials", "8"])


def test_a_search_with_a_killed_driver_resumes_to_exactly_its_trials(resumed):
    run, output = RunFolder.open(resumed[0]), resumed[1]
    assert "of 8 trials are done, resuming" in output
    assert len(trial_ends(run)) == settled_trials(run) == 8
    trials = open_study(run.journal).trials
    assert TrialState.RUNNING not in {trial.state for trial in trials}
    assert not (run.path / "mark").exists()
    records = list(run.trial_records())
    assert len(records) == len({record.recipe_hash for record in records}) == 8
    for record in records:
        assert [epoch.epoch for epoch in record.epochs] == list(range(1, len(record.epochs) + 1))
    assert run.request.settings.max_failures == 1


def test_a_finished_search_is_only_ranked_when_it_is_resumed(folder):
    screen = Console(file=StringIO(), width=100)
    assert (
        resume_command(folder / "runs", "try", {}, screen, data=None, space=None, changes={}, dry_run=False)
        == 0
    )
    assert "all 5 trials are done" in screen.file.getvalue()
    assert "what varies" in screen.file.getvalue()


def test_a_finished_search_may_be_resumed_to_more_trials(folder):
    assert resume(RunFolder.open(folder / "runs" / "try"), {"trials": 11}).settings.trials == 11


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({"folds": 2}, {}, "folds: 3 in the run, 2 requested"),
        ({"seed": 5}, {}, "seed: 0 in the run, 5 requested"),
        ({}, {"training.epochs": 7}, r"space.training.epochs: 3 in the run, 7 requested"),
    ],
)
def test_resume_refuses_what_would_make_trials_incomparable(folder, settings, changes, message):
    with pytest.raises(InputError, match=message):
        resume(RunFolder.open(folder / "runs" / "try"), settings, changes=changes)


def test_the_spaces_own_file_given_again_is_no_difference(folder):
    run = RunFolder.open(folder / "runs" / "try")
    assert resume(run, {"folds": 3}, space=Space.load(folder / "small.yaml")).resumed


def test_a_store_of_other_slices_is_refused_on_resume(folder, tmp_path):
    other = write_rsna(tmp_path / "other", size=32, slices=4)
    prepare(other, tmp_path / "store", PrepareOptions(size=32, folds=3, workers=1))
    with pytest.raises(InputError, match="not the store of this run"):
        resume(RunFolder.open(folder / "runs" / "try"), {}, data=tmp_path / "store")
