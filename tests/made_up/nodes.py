"""A Ray cluster of two nodes on this machine, one of which can be killed, and a third that can be added."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ADDRESSES, ADDED = (
    ["127.0.0.2", "127.0.0.3"],
    "127.0.0.5",
)  # for 127.0.0.1 Ray takes the machine's own address

# In a process of its own, because Ray keeps its mode of authentication for as long as a process lives.
NODES = f"""
import sys
import psutil
from ray.cluster_utils import Cluster
# A dead node is missed after five seconds; a living one may be slow.
checks = dict(health_check_initial_delay_ms=0, health_check_period_ms=500, health_check_failure_threshold=10)
def node(address, **more):
    cache = dict(env_vars=dict(XDG_CACHE_HOME=sys.argv[1] + "/" + address)) if sys.argv[1] else {{}}
    return dict(num_cpus=1, node_ip_address=address, include_dashboard=False, **cache, **more)
cluster = Cluster(initialize_head=True, head_node_args=node({ADDRESSES[0]!r}, _system_config=checks))
other = cluster.add_node(**node({ADDRESSES[1]!r}))
cluster.wait_for_nodes(60)
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        processes = [psutil.Process(info[0].process.pid) for info in other.all_processes.values()]
        family = [child for process in processes for child in process.children(recursive=True)]
        for process in (*processes, *family):
            process.kill()
        print("kill", flush=True)
    elif line.strip() == "add":
        other = cluster.add_node(**node({ADDED!r}))
        print("add", flush=True)
    else:
        break
cluster.shutdown()
"""


@dataclass(frozen=True)
class Nodes:
    """Two nodes of one core each, which ask for a token, and the process that holds them."""

    environment: dict[str, str]
    """That of a process that is to find them."""
    holder: subprocess.Popen[str]

    def order(self, what: str) -> None:
        """`kill` the second node, or `add` another."""
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        self.holder.stdin.write(f"{what}\n")
        self.holder.stdin.flush()
        assert self.holder.stdout.readline().strip() == what

    def disturb(
        self, script: str, words: Iterable[object], go_on: Path, under_way: Callable[[], bool]
    ) -> str:
        """Run a script that waits for the file GO_ON; once it is under way, kill a node, add another and let it go on.

        Returns what it printed; it must succeed.
        """
        with subprocess.Popen(
            [sys.executable, "-c", script, *map(str, words), "--address", "auto"],
            env=self.environment | {"GO_ON": str(go_on)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as driver:
            try:
                for _ in range(1500):
                    assert driver.poll() is None, driver.communicate()[0]
                    if under_way():
                        break
                    time.sleep(0.1)
                else:
                    raise TimeoutError("not under way")
                self.order("kill")
                self.order("add")
                go_on.touch()
                output, _ = driver.communicate(timeout=200)
            finally:
                driver.kill()
        assert driver.returncode == 0, output
        return output


@contextmanager
def two_nodes(caches: Path | None = None) -> Iterator[Nodes]:
    """Start them; below `caches`, each has a folder for the user's cache of its own, named by its address."""
    # pytest's own folders are too long for Ray's sockets; its last processes may still write while this one goes.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        asked = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_TMPDIR": folder}
        environment = {**os.environ, **asked}
        if caches:
            environment["XDG_CACHE_HOME"] = str(caches / ADDRESSES[0])  # a driver is on the first node
        command = [sys.executable, "-c", NODES, str(caches or "")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as holder:
            assert holder.stdout is not None
            address = holder.stdout.readline().strip()
            assert address.startswith(ADDRESSES[0]), "the nodes did not start"
            try:
                yield Nodes({**environment, "RAY_ADDRESS": address}, holder)
            finally:
                holder.communicate("\n", timeout=60)
