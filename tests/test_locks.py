import subprocess
import sys
from pathlib import Path

import pytest

from ichtune.errors import InputError
from ichtune.locks import is_locked, locked

HOLD = """
import sys
from pathlib import Path
from ichtune.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNT = """
import random, sys, time
from pathlib import Path
from ichtune.locks import locked
folder, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
for _ in range(30):
    with locked(folder / "lock"):
        count = int((folder / "count").read_text())
        time.sleep(rng.random() / 1000)
        (folder / "count").write_text(str(count + 1))
"""


def holding(file: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdin=pipe, stdout=pipe, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_a_lock_keeps_others_out_until_its_process_is_dead(tmp_path):
    file = tmp_path / "lock"
    assert not is_locked(file)
    with holding(file) as other:
        assert is_locked(file)
        with pytest.raises(InputError, match="busy"), locked(file, "busy"):
            pass
        other.kill()
    assert not is_locked(file)
    with locked(file, "busy"):
        assert is_locked(file)
    assert not file.exists()


def test_processes_that_wait_for_one_lock_take_turns(tmp_path):
    (tmp_path / "count").write_text("0")
    others = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path), str(seed)]) for seed in range(4)]
    assert [other.wait(timeout=60) for other in others] == [0] * 4
    assert (tmp_path / "count").read_text() == "120"
