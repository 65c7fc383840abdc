"""The Ray that a search runs on: one of its own on this machine, or a cluster that is joined."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import ray

from ichtune.errors import InputError


@dataclass(frozen=True)
class Capacity:
    """What a cluster offers to trials."""

    nodes: int
    cpus: int
    gpus: int


@contextmanager
def connected(address: str | None, *, cpus: int | None = None) -> Generator[Capacity]:
    """A Ray to work with: without an address a local one of its own, bound to loopback, ended at the end.

    Raises:
        InputError: no cluster answers at the address.
    """
    start = partial(ray.init, logging_level=logging.ERROR, log_to_driver=False)
    if address is None:
        # "local" starts a Ray even where another cluster is running on this machine.
        start(address="local", num_cpus=cpus, include_dashboard=False, _node_ip_address="127.0.0.1")
    else:
        try:
            start(address=address)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).split("\n", 1)[0]
            raise InputError(
                f"no Ray cluster answers at {address!r} ({reason}); start one with `ray up cluster.yaml` or "
                "`ray start --head`, or leave --address out for a local one"
            ) from None
    try:
        resources = ray.cluster_resources()
        alive = sum(node["Alive"] for node in ray.nodes())
        yield Capacity(alive, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))
    finally:
        ray.shutdown()


def _answering(address: str) -> str:
    """The head's HOST:PORT, which takes connections; Ray itself would try a dead one for a quarter of an hour.

    Raises:
        OSError: nobody takes connections there, or no cluster runs for `auto` to find.
        ValueError: no address.
    """
    if "://" in address:
        raise ValueError("a search runs on a machine of the cluster and takes HOST:PORT or auto")
    found = canonicalize_bootstrap_address(address)
    if found is None:
        raise ValueError("it names no cluster")
    host, port = found.rsplit(":", 1)
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    return found
