"""A search's own local Ray: on loopback, closed to other users, and gone when the search ends."""

import logging
import os
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # a dependency of Ray
import ray
from ray._private import ray_constants, utils, worker
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader, Config
from ray._private.node import Node

from ichtune.cluster.private_folder import private_folder, write_token

SHIELDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def local_ray() -> Generator[None]:
    """Start a Ray that listens on loopback only, requires a token that only this user can read, and reports nothing.

    All its files and sockets are in a folder of mode 700 that is removed at the end. Ray's token settings in the
    environment are meant for clusters, so they are set aside and restored afterwards.

    Raises:
        InputError: no temporary folder has a path short enough for Ray's sockets.
        OSError: Ray's processes did not start in time.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        stack.enter_context(_environment(_settings(write_token(folder))))
        # On Linux Ray listens on every interface, and replaces `_node_ip_address="127.0.0.1"` with the machine's own
        # address; so start it the way it starts on macOS.
        stack.enter_context(_replaced(ray_constants, "ENABLE_RAY_CLUSTER", False))
        # Without the dashboard this server only detects the cloud provider and reports usage.
        stack.enter_context(_replaced(Node, "start_api_server", lambda node, **_: None))
        stack.callback(_end)
        with shielded():
            _start(folder / "r")
        yield


def _start(folder: Path) -> None:
    try:
        # "local" starts a Ray even where another cluster is running on this machine.
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except Exception as error:
        if "timed out during startup" not in str(error):  # Ray has no kind of its own for it
            raise
        raise OSError(
            "Ray did not start in time: the machine is too busy, or out of memory; try again when it has room"
        ) from None


def _settings(token: Path) -> dict[str, str | None]:
    """Ray's settings as environment variables, which its processes inherit; None unsets one."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": None,
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
    }


@contextmanager
def _environment(settings: Mapping[str, str | None]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # Ray caches these once per process.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Generator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def shielded() -> Generator[None]:
    """Shield processes started here from the signals that end a search; the search ends them after saving its state.

    Batch systems signal a whole process group, and Ray waits a minute for its own processes if they are lost. Signals
    that arrive in the meantime reach this process's own handlers afterwards.
    """
    received: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # other threads can't set handlers
        for number in SHIELDED:
            handlers[number] = signal.signal(number, lambda number, _: received.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)  # inherited by new processes
    try:
        # Ray's own handler would exit immediately.
        with _replaced(utils, "set_sigterm_handler", lambda handler: None):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in received:
        signal.raise_signal(number)


def _end() -> None:
    """Shut Ray down with all its processes; they ignore SIGTERM, for which Ray would wait a second each."""
    node: Any = worker._global_node
    family = []
    if node is not None:
        family = [child for process in _processes(node) for child in process.children(recursive=True)]
        node.kill_all_processes = partial(_kill_all, node.kill_all_processes)
    ray.shutdown()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=5)


def _processes(node: Any) -> list[psutil.Process]:
    pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def _kill_all(kill: Any, **settings: Any) -> None:
    kill(**settings | {"allow_graceful": False})
