"""The command line, and a run to tamper with."""

import sys
from collections.abc import Callable

import pytest

from ichtune.cli import main
from tests.analysis.conftest import made_up, made_up_copy

__all__ = ["made_up", "made_up_copy"]


@pytest.fixture
def ichtune(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command as `ichtune` does: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ichtune", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run
