"""Waiting for a cluster's machines."""

import pytest

from ichtune.cluster import waiting
from ichtune.cluster.capacity import Capacity
from ichtune.cluster.waiting import parse_needs, wait_for
from ichtune.errors import InputError


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What the autoscaler is asked for; there is no Ray."""
    requests: list[dict] = []
    monkeypatch.setattr(waiting, "request_resources", lambda **request: requests.append(request))
    monkeypatch.setattr(waiting, "LOOK_S", 0.0)
    return requests


def growing(monkeypatch, *steps: list[tuple[int, int]]) -> None:
    states = iter(steps)
    monkeypatch.setattr(
        waiting,
        "current_capacity",
        lambda: Capacity.of({"CPU": cores, "GPU": gpus} for cores, gpus in next(states)),
    )


def test_it_waits_until_all_machines_together_have_enough(asked, monkeypatch):
    growing(monkeypatch, [(4, 0)], [(4, 0)], [(4, 0), (8, 2)], [(4, 0), (8, 2), (8, 2)])
    lines: list[str] = []
    assert wait_for({"gpu": 4}, 60, lines.append).gpus == 4
    assert len(lines) == 2  # one for each change
    assert "waiting for 4 GPUs: the cluster has 1 machine with 4 cores and 0 GPUs" in lines[0]


def test_the_autoscaler_is_asked_and_no_longer_held_to_it_afterwards(asked, monkeypatch):
    growing(monkeypatch, [(16, 2)])
    wait_for({"cpu": 16, "gpu": 2}, 60, print)
    assert asked == [{"num_cpus": 16, "bundles": [{"GPU": 1}] * 2}, {"num_cpus": 0, "bundles": []}]


def test_too_few_machines_in_time_are_an_error_that_says_what_there_is(asked, monkeypatch):
    growing(monkeypatch, [(4, 1)])
    with pytest.raises(
        InputError, match=r"after 0 s the cluster has 1 machine with 4 cores and 1 GPU, not 4 GPUs"
    ):
        wait_for({"gpu": 4}, 0, print)
    assert asked[-1] == {"num_cpus": 0, "bundles": []}


def test_needs_are_read():
    assert parse_needs("cpu=16, gpu=4") == {"cpu": 16, "gpu": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpus=4", "unknown key 'gpus'; did you mean 'gpu'"),
        ("gpu", "gpu must be a whole number, got ''"),
        ("gpu=-1", "must be a whole number"),
        ("gpu=1,gpu=2", "gpu is given twice"),
    ],
)
def test_needs_that_make_no_sense_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_needs(text)
