"""Where a local Ray's files go: a folder of this user alone, with room for Ray's sockets."""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ichtune.cluster.private_folder import LONGEST_BASE, private_folder, write_token
from ichtune.errors import InputError

SUN_PATH = 108
"""Bytes of `sun_path` in unix(7), with the one that ends it."""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path; pytest's own are longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_nobody_else_can_look_into_it_and_it_goes_with_the_search(short, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    with private_folder() as folder:
        assert folder.parent == short
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(write_token(folder).stat().st_mode) == 0o600
    assert not list(short.iterdir())


def test_a_tmpdir_too_long_for_sockets_is_passed_over(tmp_path, monkeypatch):
    long = tmp_path / ("n" * 100)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with private_folder() as folder:
        socket = f"{folder}/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
        assert len(socket) < SUN_PATH


def test_a_place_that_was_asked_for_is_refused_with_the_remedy(tmp_path, monkeypatch):
    long = tmp_path / ("n" * 100)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with (
        pytest.raises(InputError, match=f"RAY_TMPDIR: .* at most {LONGEST_BASE} bytes.*set RAY_TMPDIR"),
        private_folder(),
    ):
        pass


def test_what_a_killed_search_left_is_removed_and_what_another_uses_is_not(short, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    with private_folder() as living:
        abandoned = short / "ich-abandond"
        abandoned.mkdir(mode=0o700)
        (abandoned / "alive").touch()
        with private_folder():
            assert living.exists()
            assert not abandoned.exists()
