"""Files that are whole or not there, and folders and files that somebody else may have made."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ichtune.errors import InputError


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Gives the name to write to; at the end the file takes the place of `path`, after an error it is gone."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_bounded(path: Path, most: int) -> str:
    """The text of a UTF-8 file of at most so many bytes.

    Raises:
        InputError: the file is larger, or no UTF-8 text.
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: larger than {most:,} bytes, the most that such a file may have")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def refuse_ways_out(folder: Path) -> None:
    """Refuse a folder that holds a symbolic link out of itself, or anything but files and folders.

    Somebody else may have made it: a link would have this process read or overwrite a file elsewhere, and a named pipe
    would block it for ever. The folder itself may be reached by a link.

    Raises:
        InputError: with the place and the mend.
    """
    root = folder.resolve()
    waiting = [root]
    while waiting:
        try:
            items = list(os.scandir(waiting.pop()))
        except FileNotFoundError:  # another process has just taken it away
            continue
        for item in items:
            if item.is_symlink():
                target = Path(item.path).resolve()
                if not target.is_relative_to(root):
                    raise InputError(
                        f"{item.path}: a symbolic link that leads out of {folder}, to {target}; put the file itself "
                        "there, or remove the link"
                    )
            elif item.is_dir():
                waiting.append(Path(item.path))
            elif not item.is_file() and os.path.lexists(item.path):
                raise InputError(f"{item.path}: neither a file nor a folder; remove it")
