"""What a search says to an address where no cluster is, and what it counts on where one is."""

import socket
import time
from dataclasses import replace

import pytest

from ichtune.cluster.capacity import Capacity, usable_capacity
from ichtune.cluster.connection import connected
from ichtune.errors import InputError
from ichtune.runs.settings import SearchSettings

JOINED = SearchSettings(address="auto")


@pytest.fixture
def silent() -> str:
    """An address at which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{reserved.getsockname()[1]}"


def test_an_address_where_nobody_listens_is_refused_at_once(silent):
    begun = time.monotonic()
    with (
        pytest.raises(InputError, match=f"no Ray cluster answers at '{silent}' .*leave --address out"),
        connected(silent),
    ):
        pass
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "address", ["ray://127.0.0.1:10001", "http://127.0.0.1:8265", "head", "head:port", "local"]
)
def test_what_is_no_address_of_a_head_is_refused(address):
    with pytest.raises(InputError, match="no Ray cluster answers"), connected(address):
        pass


def test_a_growing_cluster_counts_as_large_as_its_concurrent_trials_need():
    small = Capacity(nodes=1, cpus=0, gpus=0)
    asked = replace(JOINED, max_concurrent=16, gpus_per_trial=0.25)
    assert usable_capacity(small, asked) == replace(small, cpus=16, gpus=4)


def test_fewer_trials_at_once_take_nothing_from_what_a_cluster_has():
    large = Capacity(nodes=3, cpus=24, gpus=8, cores_per_gpu=3)
    assert usable_capacity(large, replace(JOINED, max_concurrent=2)) == large


def test_a_cluster_without_cores_needs_to_be_told_how_far_to_grow():
    with pytest.raises(InputError, match="--max-concurrent"):
        usable_capacity(Capacity(nodes=1, cpus=0, gpus=0), JOINED)
