"""Trials that no machine has room for are refused, before anything is computed."""

import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.cluster.capacity import Capacity, concurrent_trials, usable_capacity
from ichtune.errors import InputError
from ichtune.runs.settings import SearchSettings

JOINED = SearchSettings(address="head:6379")


def nodes(*each: tuple[int, int]) -> Capacity:
    return Capacity.of({"CPU": cores, "GPU": gpus} for cores, gpus in each)


def test_a_trial_must_fit_on_one_machine_not_on_all_of_them_together():
    three = nodes((4, 0), (4, 0), (2, 0))
    with pytest.raises(InputError, match=r"got 8 cores.*2 machines with 4 cores.*1 machine with 2 cores"):
        usable_capacity(three, replace(JOINED, cpus_per_trial=8))
    assert usable_capacity(three, replace(JOINED, cpus_per_trial=4)) == three


def test_cores_and_gpus_must_be_on_the_same_machine():
    apart = nodes((16, 0), (2, 1))
    with pytest.raises(InputError, match="lower --cpus-per-trial or --gpus-per-trial"):
        usable_capacity(apart, replace(JOINED, cpus_per_trial=8))
    assert usable_capacity(apart, replace(JOINED, cpus_per_trial=8, gpus_per_trial=0)) == apart


def test_a_gpu_on_a_machine_without_cores_is_of_no_use():
    assert nodes((0, 4), (8, 0)).gpus == 0


@pytest.mark.parametrize(
    ("given", "machine", "at_once"),
    [
        ({}, (16, 1), 4),  # a trial of heads leaves most of a GPU idle
        ({}, (2, 1), 2),
        ({}, (16, 0), 16),
        ({"gpus_per_trial": 0.0625}, (16, 1), 16),
        ({"gpus_per_trial": 1}, (16, 1), 1),
        ({"gpus_per_trial": 0}, (16, 1), 16),
    ],
)
def test_four_trials_share_a_gpu_unless_the_user_says_otherwise(given, machine, at_once):
    assert concurrent_trials(SearchSettings(trials=100, **given), nodes(machine)) == at_once


@pytest.mark.parametrize(("tasks", "cores"), [(1, 8), (2, 4), (3, 4), (4, 2), (6, 2), (7, 1), (40, 1)])
def test_concurrent_trainings_have_as_many_cores_as_fit_on_the_machines(tasks, cores):
    assert nodes((8, 0), (4, 0), (1, 0)).cores_for_each(tasks) == cores


def test_what_a_cluster_that_grows_has_now_is_no_limit():
    assert usable_capacity(nodes((2, 0)), replace(JOINED, cpus_per_trial=8, max_concurrent=3)).cpus == 24


def test_max_concurrent_lets_no_single_machine_grow():
    with pytest.raises(InputError, match="this machine's own Ray has 1 machine with 2 cores"):
        usable_capacity(nodes((2, 0)), SearchSettings(cpus_per_trial=8, max_concurrent=3))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"gpus_per_trial": 1.5}, "must be a fraction of one GPU or a whole number, got 1.5"),
        ({"gpus_per_trial": 0.00005}, "multiple of 0.0001"),
        ({"cpus_per_trial": float("nan")}, "got nan"),
        ({"cpus_per_trial": float("inf")}, "got inf"),
    ],
)
def test_shares_that_ray_gives_to_no_task_are_refused(shares, message):
    with pytest.raises(InputError, match=message):
        usable_capacity(nodes((64, 8)), SearchSettings(**shares))


@pytest.mark.parametrize(
    "share", [{"gpus_per_trial": 0.3333}, {"gpus_per_trial": 2}, {"cpus_per_trial": 1.5}]
)
def test_shares_that_ray_does_give_are_not(share):
    usable_capacity(nodes((64, 8)), SearchSettings(**share))


def test_a_machine_is_counted_as_ray_counts_it(monkeypatch):
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 6, "GPU": 3}')
    assert Capacity.here() == Capacity(nodes=1, cpus=6, gpus=3, cores_per_gpu=2, each=((6, 3),))


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_search_says_so_at_once_and_so_does_its_dry_run(banked_store, tmp_path, monkeypatch, dry):
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2, "GPU": 0}')
    begun = time.monotonic()
    given = ["--data", str(banked_store), "--runs", str(tmp_path / "runs"), "--cpus-per-trial", "64", *dry]
    done = CliRunner().invoke(app, ["search", *given])
    assert isinstance(done.exception, InputError)  # which `main` makes exit code 2
    assert "1 machine with 2 cores and 0 GPUs" in str(done.exception)
    assert time.monotonic() - begun < 30
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "127.0.0.1:1"], "no Ray cluster answers at '127.0.0.1:1'"),
        (["--address", "127.0.0.1:1", "--wait-for", "gpus=4"], "did you mean 'gpu'"),
        (["--wait-for", "gpu=4"], "add --address"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused_before_the_plan_is_printed(
    banked_store, tmp_path, options, message
):
    given = ["--data", str(banked_store), "--runs", str(tmp_path / "runs"), *options]
    done = CliRunner().invoke(app, ["search", *given])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert done.output == ""
