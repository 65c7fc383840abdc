"""Whether a run's folder is where every node finds it, before the first trial starts."""

import os
import secrets
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder

ANSWER_S = 60.0


def check_storage(run: RunFolder, store: SliceStore) -> None:
    """Write a token into the run and let a task on every other node read it, and find the store.

    Raises:
        InputError: the folder can't be written, or a node doesn't see it, or not the store.
    """
    token, text = run.path / f".token-{os.getpid()}", secrets.token_hex(8)
    try:
        token.write_text(text)
    except OSError as error:
        raise InputError(f"{run}: can't be written ({error.strerror}); choose another --runs") from None
    try:
        here = ray.get_runtime_context().get_node_id()
        others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
        asked = {
            _ask(node["NodeID"], run, token.name, text, store.path): node["NodeManagerAddress"]
            for node in others
        }
        for answer, address in asked.items():
            sees_run, sees_store = ray.get(answer, timeout=ANSWER_S)
            if not sees_run:
                raise InputError(
                    f"{run}: the node {address} doesn't see this folder; give --runs a folder that all nodes "
                    "share (NFS, EFS, Lustre), or a place of its own such as --runs s3://BUCKET/runs"
                )
            if not sees_store:
                raise InputError(
                    f"{store.path}: the node {address} doesn't see this store; put it into a folder that all "
                    "nodes share, or copy it to the same path on each"
                )
    finally:
        token.unlink(missing_ok=True)


def _ask(node: str, run: RunFolder, token: str, text: str, store: Path) -> Any:
    task: Any = ray.remote(_look)
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return task.options(num_cpus=0, scheduling_strategy=strategy).remote(run, token, text, store)


def _look(run: RunFolder, token: str, text: str, store: Path) -> tuple[bool, bool]:
    """Whether this node sees the run (by the token, or at its URI), and whether it finds the store."""
    file = run.path / token
    sees_run = run.remote.has("search.yaml") if run.remote else file.is_file() and file.read_text() == text
    return sees_run, (store / "store.json").is_file()
