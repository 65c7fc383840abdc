"""A Ray of a search's own on this machine: on loopback, closed to other users, and gone when the search is."""

import logging
import os
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # Ray brings it along
import ray
from ray._private import ray_constants, utils, worker
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader, Config
from ray._private.node import Node

from ichtune.cluster.private_folder import private_folder, write_token

SHIELDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def local_ray() -> Generator[None]:
    """A Ray that listens on loopback alone, asks for a token that only this user can read, and reports to nobody.

    All its files and sockets are in a folder of mode 700 that is removed at the end. What the environment says of
    Ray's tokens is for clusters: it is set aside, and holds again afterwards.

    Raises:
        InputError: no folder for temporary files has a path short enough for Ray's sockets.
        OSError: Ray's processes did not come up in time.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        stack.enter_context(_environment(_settings(write_token(folder))))
        # On Linux Ray listens on every interface, and takes `_node_ip_address="127.0.0.1"` for the machine's own
        # address; so it is started as it would be on macOS.
        stack.enter_context(_instead(ray_constants, "ENABLE_RAY_CLUSTER", False))
        # Without the dashboard this server does nothing but look up the cloud that it might be in, and report usage.
        stack.enter_context(_instead(Node, "start_api_server", lambda node, **_: None))
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
    """Ray's settings in the environment, which its processes take over; None is unset."""
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
    # Ray reads these once in a process.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _instead(owner: Any, name: str, value: object) -> Generator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def shielded() -> Generator[None]:
    """Processes that start here don't hear what ends a search: the search ends them when it has kept what is done.

    Batch systems signal a whole group, and a Ray that loses its own processes waits for them for a minute. What comes
    in the meantime reaches this process's own handlers afterwards.
    """
    heard: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # others neither set handlers nor run them
        for number in SHIELDED:
            handlers[number] = signal.signal(number, lambda number, _: heard.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)  # which new processes take over
    try:
        with _instead(utils, "set_sigterm_handler", lambda handler: None):  # Ray's own would exit on the spot
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in heard:
        signal.raise_signal(number)


def _end() -> None:
    """End Ray with all its processes; they don't hear SIGTERM, on which Ray would wait a second for each."""
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
