"""Checks that every node sees the run's folder, before the first trial starts."""

import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ichtune.bank.part import BankPart, is_finished
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder

ANSWER_S = 60.0


def check_storage(run: RunFolder, store: SliceStore, parts: Sequence[BankPart] = ()) -> None:
    """Write tokens into the run and the bank, and check that a task on every other node sees them and the store.

    Raises:
        InputError: a folder can't be written to, or a node doesn't see a folder or the store.
    """
    name, text = f".token-{os.getpid()}-{secrets.token_hex(8)}", secrets.token_hex(8)
    token = run.path / name
    unfinished = {part.bank for part in parts if not is_finished(part)}
    bank = [folder / name for folder in unfinished] + [part.file for part in parts if is_finished(part)]
    with ExitStack() as stack:
        stack.enter_context(_written(token, text, "--runs"))
        for folder in unfinished:
            stack.enter_context(_written(folder / name, text, "--bank"))
        here = ray.get_runtime_context().get_node_id()
        others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
        answers = {
            _ask(node["NodeID"], run, token.name, text, store.path, bank): node["NodeManagerAddress"]
            for node in others
        }
        for answer, address in answers.items():
            sees_run, sees_store, unseen = ray.get(answer, timeout=ANSWER_S)
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
            if unseen:
                raise InputError(
                    f"{unseen.parent}: the node {address} doesn't see this folder of the feature bank; give --bank a "
                    "folder that all nodes share"
                )


@contextmanager
def _written(token: Path, text: str, option: str) -> Generator[None]:
    try:
        token.parent.mkdir(parents=True, exist_ok=True)
        token.write_text(text)
    except OSError as error:
        raise InputError(
            f"{token.parent}: can't be written to ({error.strerror}); choose another {option}"
        ) from None
    try:
        yield
    finally:
        token.unlink(missing_ok=True)


def _ask(node: str, run: RunFolder, token: str, text: str, store: Path, bank: list[Path]) -> Any:
    task: Any = ray.remote(_look)
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return task.options(num_cpus=0, scheduling_strategy=strategy).remote(run, token, text, store, bank)


def _look(
    run: RunFolder, token: str, text: str, store: Path, bank: list[Path]
) -> tuple[bool, bool, Path | None]:
    """Whether this node sees the run (its token, or its URI) and the store, and a bank file that it doesn't see."""
    file = run.path / token
    sees_run = run.remote.has("search.yaml") if run.remote else file.is_file() and file.read_text() == text
    unseen = next((file for file in bank if not file.is_file()), None)
    return sees_run, (store / "store.json").is_file(), unseen
