"""Where the feature bank is: in the store, in the user's cache where that is read-only, or where asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ichtune.bank.build import build
from ichtune.bank.part import BankError, BankPart
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from tests.made_up.models import SQUEEZENET as MODEL

BUILD = """
import sys
from ichtune.data.store import SliceStore
from ichtune.bank.build import build
from ichtune.bank.plan import plan_parts
from tests.made_up.models import SQUEEZENET as MODEL
parts = plan_parts(SliceStore.open(sys.argv[1]), [MODEL], ["moderate"], views=1, seed=3)
build(parts)
print(*(part.bank for part in parts), sep="\\n")
"""


def parts_of(store: SliceStore, **settings) -> list[BankPart]:
    return plan_parts(store, [MODEL], [], views=1, seed=3, **settings)


def read_only(store: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command while the store is mounted read-only, which holds for root too."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount, str(store)], capture_output=True).returncode:
        pytest.skip("may not mount a folder read-only (needs root, or its capability)")
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', str(store), *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_bank_is_in_its_store_by_default(small_store):
    (part,) = parts_of(small_store)
    assert part.bank == small_store.path / "bank"


def test_a_bank_is_where_it_is_asked_for_with_a_folder_for_each_store(small_store, tmp_path):
    (part,) = parts_of(small_store, bank=tmp_path / "fast")
    assert part.bank == tmp_path / "fast" / small_store.fingerprint
    build([part])
    assert not (small_store.path / "bank").exists()
    moved = SliceStore.open(shutil.copytree(small_store.path, tmp_path / "moved"))
    (same,) = parts_of(moved, bank=tmp_path / "fast")
    build([same], run=lambda work: pytest.fail("nothing is left to compute"))


def test_a_bank_that_can_not_be_written_asks_for_another_folder(small_store, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BankError, match=r"can't be written here .*choose another folder with --bank"):
        build(parts_of(small_store, bank=tmp_path / "file"))


def test_the_bank_of_a_read_only_store_is_in_the_users_cache(small_store, tmp_path):
    for part in (parts := parts_of(small_store)):
        build([part])  # normal is there already, and stays in use
    run = read_only(
        small_store.path, sys.executable, "-c", BUILD, str(small_store.path), XDG_CACHE_HOME=str(tmp_path)
    )
    assert run.returncode == 0, run.stderr
    cache = tmp_path / "ichtune" / "bank" / small_store.fingerprint
    assert run.stdout.split() == [str(parts[0].bank), str(cache)]


def test_inspect_draws_a_read_only_store_into_the_current_folder(small_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = read_only(small_store.path, sys.executable, "-m", "ichtune.cli", "inspect", str(small_store.path))
    assert run.returncode == 0, run.stderr
    assert f"{small_store.path} can't be written" in run.stdout.replace("\n", " ")
    assert (tmp_path / "small_store-inspect.png").stat().st_size
    assert not (small_store.path / "inspect.png").exists()
