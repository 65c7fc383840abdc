"""Waiting until a cluster has the cores and GPUs that a search asked for."""

import time
from collections.abc import Callable

import ray
from ray.autoscaler.sdk import request_resources

from ichtune.cluster.capacity import Capacity
from ichtune.errors import InputError
from ichtune.wording import shown, unknown_key

LOOK_S = 1.0
KINDS = ("cpu", "gpu")


def parse_needs(text: str) -> dict[str, int]:
    """Parse `gpu=4` or `cpu=16,gpu=4`.

    Raises:
        InputError: it isn't of that form.
    """
    needs: dict[str, int] = {}
    for part in text.split(","):
        kind, _, count = (word.strip() for word in part.partition("="))
        if kind not in KINDS:
            raise InputError(f"--wait-for: {unknown_key(kind, '', KINDS)}")
        if not (count.isascii() and count.isdecimal()):
            raise InputError(f"--wait-for: {kind} must be a whole number, got {shown(count)}")
        if kind in needs:
            raise InputError(f"--wait-for: {kind} is given twice")
        needs[kind] = int(count)
    return needs


def current_capacity() -> Capacity:
    """What the cluster that this process has joined offers now."""
    return Capacity.of(node["Resources"] for node in ray.nodes() if node["Alive"])


def wait_for(needs: dict[str, int], timeout_s: float, report: Callable[[str], None]) -> Capacity:
    """Wait until the joined cluster has these cores and GPUs in total; ask its autoscaler, if it has one, for them.

    `report` receives a line whenever there are more or fewer machines.

    Raises:
        InputError: the time is over.
    """
    wanted = " and ".join(f"{count} {kind.upper()}s" for kind, count in needs.items())
    until, seen = time.monotonic() + timeout_s, None
    request_resources(num_cpus=needs.get("cpu", 0), bundles=[{"GPU": 1}] * needs.get("gpu", 0))
    try:
        while True:
            found = current_capacity()
            if found.cpus >= needs.get("cpu", 0) and found.gpus >= needs.get("gpu", 0):
                return found
            if time.monotonic() >= until:
                raise InputError(
                    f"--wait-for: after {timeout_s:g} s the cluster has {found}, not {wanted}; raise --timeout, ask "
                    "for less, or see with `ray status` why no more machines start"
                )
            if found != seen:
                report(f"waiting for {wanted}: the cluster has {found}")
            seen = found
            time.sleep(LOOK_S)
    finally:
        request_resources(num_cpus=0, bundles=[])  # else the machines would never count as idle
