"""Checks that every node sees what it will read and write, before long work starts."""

import os
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ichtune.bank.part import BankPart, is_finished
from ichtune.data.reading import Place, Reader
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
        answers = {
            _ask(node, _look, run, token.name, text, store.place, bank): address
            for node, address in _others().items()
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
                    f"{store.place}: the node {address} doesn't see this store; put it into a folder that all "
                    "nodes share, or copy it to the same path on each"
                )
            if unseen:
                raise InputError(
                    f"{unseen.parent}: the node {address} doesn't see this folder of the feature bank; give --bank a "
                    "folder that all nodes share"
                )


def check_reading(reader: Reader, place: Place) -> None:
    """Check that every other node sees a file of a source, and the folder that its pixels are passed through.

    Raises:
        InputError: the folder can't be written to, or a node doesn't see it or the file.
    """
    file = reader.root / place.file
    token = reader.chunks / f".token-{os.getpid()}-{secrets.token_hex(8)}"
    with _written(token, "", "STORE"):
        answers = {_ask(node, _unseen, [token, file]): address for node, address in _others().items()}
        for answer, address in answers.items():
            unseen = ray.get(answer, timeout=ANSWER_S)
            if token in unseen:
                raise InputError(
                    f"{reader.chunks.parent}: the node {address} doesn't see this folder; put STORE into a folder that "
                    "all nodes share (NFS, EFS, Lustre)"
                )
            if unseen:
                raise InputError(
                    f"{file}: the node {address} doesn't see this file; put the source into a folder that all nodes "
                    "share"
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


def _others() -> dict[str, str]:
    """The addresses of all nodes but this one, by their ids."""
    here = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != here
    }


def _ask(node: str, look: Callable[..., Any], *what: Any) -> Any:
    task: Any = ray.remote(look)
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return task.options(num_cpus=0, scheduling_strategy=strategy).remote(*what)


def _look(
    run: RunFolder, token: str, text: str, store: str | Path, bank: list[Path]
) -> tuple[bool, bool, Path | None]:
    """Whether this node sees the run (its token, or its URI) and the store, and a bank file that it doesn't see."""
    file = run.path / token
    sees_run = run.remote.has("search.yaml") if run.remote else file.is_file() and file.read_text() == text
    sees_store = SliceStore.is_at(store)
    return sees_run, sees_store, next(iter(_unseen(bank)), None)


def _unseen(files: list[Path]) -> list[Path]:
    """The files that this node doesn't see."""
    return [file for file in files if not file.is_file()]
