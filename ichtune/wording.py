"""Wording of messages: values as written in YAML, suggestions for misspelled names, commands to paste."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def shown(value: object) -> str:
    """Return a value as YAML on one line: `null`, `true`, `1e-5`, `'adm'`, `[40, 80]`."""
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return plain(value)


def plain(value: object) -> str:
    """Like `shown`, but text without quotes and lists without brackets."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        # Python writes 1e-05 and 2.0 for 1e-5 and 2.
        return re.sub(r"e([-+])0*", lambda found: "e" + found[1].strip("+"), repr(value)).removesuffix(".0")
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return str(value)


def plural(count: int, one: str, many: str) -> str:
    """Return a count with its noun: `1 trial`, `1,200 trials`."""
    return f"{count:,} {one if count == 1 else many}"


def disk_size(size: float) -> str:
    """Return a number of bytes as `30 KiB`, `12 MiB` or `3.5 GiB`."""
    if size >= 2**30:
        return f"{size / 2**30:,.1f} GiB"
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def duration(seconds: float) -> str:
    """Return a duration as `45 s`, `12 min` or `3.5 h`."""
    if seconds > 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 120 else f"{seconds:.0f} s"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'adam'?`, or nothing if no known word is close."""
    close = get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def not_one_of(word: object, known: Iterable[str]) -> str:
    """Return `'adm' is not one of adam, adamw; did you mean 'adam'?`"""
    known = list(known)
    return f"{shown(word)} is not one of {', '.join(known)}{did_you_mean(word, known)}"


def unknown_key(key: object, place: str, known: Iterable[str]) -> str:
    """Return `unknown key 'weigth_decay' in optimizer; did you mean 'weight_decay'?`, or else list the known keys."""
    known = list(known)
    inside = f" in {place}" if place else ""
    mend = did_you_mean(key, known) or (f"; known keys are {', '.join(known)}" if known else "")
    return f"unknown key {str(key)!r}{inside}{mend}"


def pasteable(*words: object) -> str:
    """Return a command to paste into a shell, with `uv run` if uv runs this process."""
    through = ["uv", "run"] if os.environ.get("UV") else []
    return shlex.join([*through, *map(str, words)])
