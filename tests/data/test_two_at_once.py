"""Two processes that prepare one store: one of them makes it, the other is refused, and the store is right."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ichtune.data.store import SliceStore

WORKER = """
import sys, time
from pathlib import Path
from ichtune.data.prepare import PrepareOptions, prepare
from ichtune.errors import InputError
print("ready", flush=True)
for line in sys.stdin:
    source, store, delay = line.split()
    time.sleep(float(delay))
    try:
        print("made", prepare(Path(source), Path(store), PrepareOptions(size=32, folds=3, workers=1)).store.fingerprint)
    except InputError as error:
        print("refused", error)
    except Exception as error:
        print("broke", repr(error))
    sys.stdout.flush()
"""


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[str]]]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER]
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    assert [answer(worker) for worker in started] == ["ready"] * 2
    yield started
    for worker in started:
        worker.communicate(timeout=30)


def answer(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


@pytest.mark.timeout(120)
def test_two_processes_never_mix_what_they_prepare(workers, prepared, tmp_path):
    rng, source = random.Random(0), prepared.path.parent / "rsna"
    for turn in range(12):
        store = tmp_path / f"store{turn}"
        for worker in workers:
            print(source, store, rng.random() * 0.1, file=worker.stdin, flush=True)
        one, other = sorted(map(answer, workers))
        assert one == f"made {prepared.fingerprint}"
        assert other in (
            f"refused {store}: another process is preparing this store; wait for it, or choose another folder",
            f"refused {store}: a finished store is already here; replace it with --overwrite",
        )
        assert SliceStore.open(store).fingerprint == prepared.fingerprint
        assert [path.name for path in tmp_path.iterdir()] == [store.name]
        assert json.loads((store / "store.json").read_text())["slices"] == 30
        shutil.rmtree(store)
