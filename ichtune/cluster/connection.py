"""The Ray that a search runs on: a local one, or a cluster that it joins."""

import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager

import ray
from ray._private.services import canonicalize_bootstrap_address

from ichtune.cluster.capacity import Capacity
from ichtune.cluster.local_ray import local_ray, shielded
from ichtune.cluster.waiting import current_capacity
from ichtune.errors import InputError

ANSWER_S = 5.0


@contextmanager
def connected(address: str | None) -> Generator[Capacity]:
    """Connect to the cluster at an address, or without one start a local Ray that is shut down at the end.

    Raises:
        InputError: no cluster answers at the address, or no temporary folder has a short enough path for a local Ray.
    """
    with local_ray() if address is None else _joined(address):
        yield current_capacity()


@contextmanager
def _joined(address: str) -> Generator[None]:
    try:
        _check_answers(address)
        with shielded():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(
            f"no Ray cluster answers at {address!r} ({reason}); start one with `ray up cluster.yaml` or "
            "`ray start --head` (if it asks for a token, set RAY_AUTH_MODE=token), or leave --address out for "
            "a local one"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse an address that accepts no connections; Ray itself would keep trying for a quarter of an hour.

    Raises:
        OSError: nothing accepts connections there, or `auto` finds no running cluster.
        ValueError: not an address of a cluster.
    """
    if "://" in address:
        raise ValueError("a search must run on a machine of the cluster, with HOST:PORT or auto")
    found = canonicalize_bootstrap_address(address)
    if found is None:
        raise ValueError("no such cluster")
    host, port = found.rsplit(":", 1)
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
