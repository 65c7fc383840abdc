"""The Ray that a search runs on: one of its own on this machine, or a cluster that is joined."""

import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address

from ichtune.errors import InputError

ANSWER_S = 5.0


@dataclass(frozen=True)
class Capacity:
    """What a cluster offers to trials."""

    nodes: int
    cpus: int
    gpus: int
    cores_per_gpu: int = 1
    """Of the node that has the fewest: a task that asks for more would wait for ever."""

    def grown_for(self, trials: int, *, cpus: float, gpus: float) -> "Capacity":
        """At least what so many trials take at once: an autoscaler brings machines for what waits, not before."""
        return replace(
            self, cpus=max(self.cpus, ceil(trials * cpus)), gpus=max(self.gpus, ceil(trials * gpus))
        )


@contextmanager
def connected(address: str | None) -> Generator[Capacity]:
    """A Ray to work with: without an address a local one of its own, bound to loopback, ended at the end.

    Raises:
        InputError: no cluster answers at the address.
    """
    start = partial(ray.init, logging_level=logging.ERROR, log_to_driver=False)
    if address is None:
        with _on_loopback():
            # "local" starts a Ray even where another cluster is running on this machine.
            start(address="local", include_dashboard=False)
    else:
        try:
            _check_answers(address)
            start(address=address)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).split("\n", 1)[0]
            raise InputError(
                f"no Ray cluster answers at {address!r} ({reason}); start one with `ray up cluster.yaml` or "
                "`ray start --head` (if it asks for a token, set RAY_AUTH_MODE=token), or leave --address out for "
                "a local one"
            ) from None
    try:
        yield _capacity([node["Resources"] for node in ray.nodes() if node["Alive"]])
    finally:
        ray.shutdown()


def _capacity(nodes: list[dict[str, float]]) -> Capacity:
    """The sum of what the nodes have."""
    cpus, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
    shares = [int(node.get("CPU", 0) / node["GPU"]) for node in nodes if node.get("GPU")]
    return Capacity(len(nodes), cpus, gpus, max(1, min(shares, default=1)))


@contextmanager
def _on_loopback() -> Generator[None]:
    """A Ray that starts here listens on the loopback interface alone, as it would on macOS.

    On Linux it listens on every interface, and takes `_node_ip_address="127.0.0.1"` for the machine's own address.
    """
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _check_answers(address: str) -> None:
    """Refuse an address that takes no connections; Ray itself would try it for a quarter of an hour.

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
