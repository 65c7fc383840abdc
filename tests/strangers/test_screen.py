"""No name of a stranger steers a terminal."""

import io
import re

import pandas as pd
from rich.console import Console

from ichtune.commands.terminal import console
from ichtune.data.inspect.audit import audit
from ichtune.data.inspect.describe import print_rejected
from ichtune.data.store import SliceStore
from ichtune.safe_console import SafeConsole, printable
from ichtune.space import Space

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\r\u202egnp.exe\u200b"


def test_no_text_steers_the_terminal_or_hides():
    assert printable(ESCAPES) == r"\x1b]0;owned\x07\x1b[2J\x9b1m\r\u202egnp.exe\u200b"
    assert printable("a\tb\nä 中 −") == "a\tb\nä 中 −"


def test_names_of_files_and_reasons_are_shown_as_texts():
    screen = SafeConsole(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    frame = pd.DataFrame({"file": [f"[red]{ESCAPES}.dcm"], "reason": [f"[link=file:///]{ESCAPES}"]})
    print_rejected(frame, screen)
    shown = screen.file.getvalue()  # ty: ignore[unresolved-attribute]
    assert r"[red]\x1b]0;owned" in shown
    assert not re.search("\x1b[^\\[]|\x07|\u202e|\x9b|\x1b\\[2J", shown)


def test_an_error_does_not_steer_the_terminal(ichtune):
    code, _, errors = ichtune("inspect", f"/gone{ESCAPES}")
    assert code == 2
    assert r"\x1b]0;owned" in errors
    assert "\x1b" not in errors


def test_an_identifier_in_the_audit_does_not_steer_the_terminal(small_store: SliceStore, ichtune):
    split = ["train", "test"] * 15
    table = small_store.table.assign(patient_id=f"P{ESCAPES}", split=split)
    table.to_parquet(small_store.path / "slices.parquet", index=False)
    code, output, errors = ichtune("inspect", small_store.path)
    assert code == 1
    assert "changed since it was prepared" in errors
    assert r"P\x1b]0;owned" in output.replace("\n", "")
    assert "\x1b" not in output
    assert any("the first is P\x1b" in found.text for found in audit(SliceStore.open(small_store.path)))


def test_a_space_is_shown_as_text():
    space = Space.parse({"name": "n", "description": f"[red]{ESCAPES}"}, "space.yaml")
    screen = SafeConsole(file=io.StringIO(), width=200)
    screen.print(space.tree())
    assert r"[red]\x1b]0;owned" in screen.file.getvalue()  # ty: ignore[unresolved-attribute]


def test_the_console_of_the_commands_is_the_safe_one():
    assert isinstance(console, SafeConsole)
    assert isinstance(console, Console)
