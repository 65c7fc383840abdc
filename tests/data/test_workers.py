"""Reading processes serve one pass over files after another."""

import os

import pytest

from ichtune.data.workers import Workers

CHUNKS = [range(first, first + 2) for first in range(0, 12, 2)]


def read(first: int, places: list[int]) -> tuple[int, int, int]:
    return os.getpid(), first, sum(places)


def killed(first: int, places: list[int]) -> None:
    os._exit(9)


@pytest.mark.timeout(120)
def test_a_second_pass_has_the_same_processes_and_its_results_come_in_order():
    with Workers(2) as workers:
        passes = [list(workers.in_order(read, range(12), CHUNKS, offset)) for offset in (0, 100)]
    processes = {process for one in passes for process, *_ in one}
    assert len(processes) <= 2
    assert os.getpid() not in processes
    assert [tuple(rest) for _, *rest in passes[1]] == [
        (100, 1),
        (102, 5),
        (104, 9),
        (106, 13),
        (108, 17),
        (110, 21),
    ]


@pytest.mark.timeout(120)
def test_a_killed_process_is_an_error_with_its_mend():
    with (
        Workers(2) as workers,
        pytest.raises(OSError, match=r"a reading process was killed .* run the same command again"),
    ):
        list(workers.in_order(killed, range(12), CHUNKS))


def test_a_single_chunk_is_read_here():
    with Workers(2) as workers:
        [(process, *_)] = workers.in_order(read, range(12), CHUNKS[:1])
    assert process == os.getpid()
