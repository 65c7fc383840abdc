"""How far trainings in other processes are."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ichtune.progress import Report

LOOK_S: Final = 1.0
"""Seconds between two looks at the board."""
_EVERY: Final = 32
"""Images between two notes of a training."""
Note = tuple[int, int, str]


class Board:
    """Where running trainings write how far they are; an actor of Ray."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}

    def write(self, name: str, note: Note) -> None:
        self.notes[name] = note

    def read(self) -> dict[str, Note]:
        return self.notes


def put_up() -> Any:
    """Start a board on this node: one on another node would be lost with it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board: Any = ray.remote(Board)
    return board.options(num_cpus=0, scheduling_strategy=here).remote()


def paced(name: str, board: Any) -> Report:
    """Return what a training reports to; not every report is written."""
    told = -_EVERY

    def report(done: int, total: int, remark: str) -> None:
        nonlocal told
        if done - told >= _EVERY or done >= total:
            told = done
            board.write.remote(name, (done, total, remark))

    return report


def sum_up(notes: Mapping[str, Note], running: Sequence[str], count: int, report: Report) -> None:
    """Report the sum of `count` trainings, with a remark about each that is running.

    Those that haven't begun are taken to be as long as the others are on average.
    """
    if not notes:
        return
    remarks = [f"{name}: {notes[name][2]}" for name in running if name in notes and notes[name][2]]
    done, total = (sum(note[place] for note in notes.values()) for place in (0, 1))
    report(done, round(total * count / len(notes)), "; ".join(remarks))
