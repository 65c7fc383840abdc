"""Untrusted JSON: bounded in size and depth, and with only characters that can be written again."""

import json
import re
from pathlib import Path
from typing import Any, Final

from ichtune.errors import InputError
from ichtune.files import read_bounded

MOST_BYTES: Final = 256_000_000
"""Size limit of a file; the record of an epoch takes 3,000 bytes."""
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(InputError):
    """A file that isn't JSON or exceeds the limits; the message names the file."""


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        JsonError: the file isn't JSON, or is too large or nested too deeply.
        OSError: it can't be read.
    """
    return _parse(_text(path), str(path))


def read_json_lines(path: Path) -> list[Any]:
    """Return the values in a JSON Lines file, ignoring an unfinished last line, which a killed process leaves.

    Raises:
        JsonError: a line isn't JSON, or the file is too large or nested too deeply.
        OSError: it can't be read.
    """
    lines = _text(path).split("\n")[:-1]
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _text(path: Path) -> str:
    try:
        return read_bounded(path, MOST_BYTES)
    except InputError as error:
        raise JsonError(str(error)) from None


def _parse(text: str, where: str) -> Any:
    try:
        value = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise JsonError(f"{where}: nested too deeply") from None
    except UnicodeEncodeError:
        raise JsonError(f"{where}: half a surrogate pair, which is not a character") from None
    except ValueError as error:
        raise JsonError(f"{where}: not JSON: {str(error).partition(';')[0]}") from None
    return value
