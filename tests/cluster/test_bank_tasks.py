"""Work of the feature bank as Ray tasks."""

import pytest

from ichtune.cluster.bank_tasks import compute_on
from ichtune.cluster.connection import connected
from ichtune.errors import InputError

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # Ray's own use of it
]


def refuse(part: object, chunk: object, *, threads: int) -> int:
    raise InputError("weights: these are another network's")


def test_wrong_input_found_by_a_task_is_its_own_message(monkeypatch):
    monkeypatch.setattr("ichtune.cluster.bank_tasks.compute_chunk", refuse)
    with (
        connected(None) as capacity,
        pytest.raises(InputError, match=r"^weights: these are another network's$"),
    ):
        list(compute_on(capacity)([(None, None)]))
