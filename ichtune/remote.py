"""A folder at a URI (`s3://bucket/runs/name`), copied from and to a folder on this machine's disk."""

import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.progress import Report

CACHE = "ichtune"
ANSWER_S = 10.0
PIECE = 2**22
"""Bytes read at once."""
SAME_TIME_NS = 3 * 10**9
"""A file this young may be replaced by one with the same time, since S3 counts seconds: its copy counts as older."""

UNFINISHED = ".unfinished"
"""How the name of a file ends that is still being written; one on a broken machine stays so."""

_URI = re.compile("([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE)

FileStates = dict[str, tuple[int, int]]
"""Modification time (ns) and size of files by name."""


@dataclass(frozen=True)
class Remote:
    """A folder at a URI on one of pyarrow's file systems; small, since it is sent to every trial.

    The file system finds its own credentials (for S3 in the environment variables and files of AWS).
    """

    uri: str

    def __truediv__(self, name: str) -> "Remote":
        """Return the folder or file of that name below this one; anything after a `?` stays at the end."""
        parts = urlsplit(self.uri)
        return Remote(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}")))

    @property
    def parent(self) -> "Remote":
        """The parent folder."""
        parts = urlsplit(self.uri)
        return Remote(urlunsplit(parts._replace(path=parts.path.rstrip("/").rpartition("/")[0])))

    @property
    def name(self) -> str:
        return urlsplit(self.uri).path.rstrip("/").rpartition("/")[2]

    @property
    def local(self) -> Path:
        """This machine's copy for a search and its trials; the same path wherever the cache folder is the same."""
        return self.cached("runs")

    @property
    def watched(self) -> Path:
        """This machine's copy for all other commands, so that they never replace what a search on it is writing."""
        return self.cached("watched")

    def cached(self, kind: str) -> Path:
        """Return this URI's folder in the user's cache, below one for copies of its kind."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / CACHE / kind / hashlib.sha256(self.uri.encode()).hexdigest()[:12] / self.name

    def has(self, name: str) -> bool:
        """Whether it has a file of that name.

        Raises:
            InputError: the URI can't be reached.
        """
        files, root = self._open()
        return self._tried(lambda: files.get_file_info(f"{root}/{name}")).is_file

    def read(self, name: str, most: int | None = None) -> bytes:
        """Return the content of a file, or its first `most` bytes.

        Raises:
            InputError: it can't be read.
        """
        files, root = self._open()
        return self._tried(lambda: files.open_input_stream(f"{root}/{name}").read(most))

    def push(self, folder: Path, sent: FileStates, *, apart: str = "") -> None:
        """Upload the files of a folder that differ from `sent`, and record each one there.

        Skips hidden files and everything below `apart`.

        Raises:
            OSError: the URI can't be reached or written.
        """
        files, root = self._open()
        for file in sorted(folder.rglob("*")):
            parts = file.relative_to(folder).parts
            if (
                not file.is_file()
                or parts[0] in (apart, "ray")
                or any(part.startswith(".") for part in parts)
            ):
                continue
            name = "/".join(parts)
            state = _state(file)
            if state and sent.get(name) != state:
                files.create_dir(f"{root}/{name}".rpartition("/")[0], recursive=True)
                _put(files, f"{root}/{name}", file.read_bytes())
                sent[name] = state

    def files(self) -> dict[str, Any]:
        """Return what the file system knows of every file (pyarrow's `FileInfo`), by its name below this folder.

        Raises:
            InputError: the URI can't be reached, or has a file whose name leads out of it.
        """
        from pyarrow.fs import FileSelector

        files, root = self._open()
        chosen = FileSelector(root, recursive=True, allow_not_found=True)
        found = self._tried(lambda: files.get_file_info(chosen))
        named = {
            each.path[len(root) :].lstrip("/"): each
            for each in found
            if each.is_file and not each.path.endswith(UNFINISHED)
        }
        for name in named:
            if ".." in name.split("/"):
                raise InputError(
                    f"{self.uri}: contains the file {name!r}, whose name leads out of the folder; delete it there"
                )
        return named

    def pull(
        self,
        folder: Path,
        wanted: Callable[[str], bool] = lambda name: True,
        *,
        last: str = "",
        report: Report = lambda *_: None,
        sent: FileStates | None = None,
    ) -> int:
        """Download the files that have changed, and keep what only the folder has; returns how many were downloaded.

        Each file is replaced at once. `wanted` chooses by name; the file called `last` comes after all others. `report`
        is called with the bytes so far. With `sent`, for a folder that is uploaded too, files that are newer there stay
        as they are, and the others are recorded as not to be uploaded.

        Raises:
            InputError: the URI can't be reached, has a file whose name leads out of it, or breaks off.
        """
        found = {name: info for name, info in self.files().items() if wanted(name)}
        names = [
            name
            for name in sorted(found, key=lambda name: name == last)
            if _differs(folder / name, found[name], newer_stays=sent is not None)
        ]
        done, total = 0, sum(found[name].size for name in names)
        for name in names:
            self._tried(lambda name=name: self._pull_file(folder / name, found[name]))
            done += found[name].size
            report(done, total, name)
        if sent is not None:
            states = {name: _state(folder / name) for name in found}
            sent |= {
                name: state for name, state in states.items() if state and state[0] <= found[name].mtime_ns
            }
        return len(names)

    def _pull_file(self, target: Path, info: Any) -> None:
        files, _ = self._open()
        target.parent.mkdir(parents=True, exist_ok=True)
        began = time.time_ns()
        with suppress(FileNotFoundError), replacing(target) as file:  # deleted meanwhile, as checkpoints are
            with files.open_input_stream(info.path) as stream, open(file, "wb") as copy:
                while piece := stream.read(PIECE):
                    copy.write(piece)
            is_young = began - info.mtime_ns <= SAME_TIME_NS
            time_ns = info.mtime_ns - is_young * 10**9
            os.utime(file, ns=(time_ns, time_ns))

    def drop(self, name: str) -> None:
        """Delete a file, if it exists."""
        files, root = self._open()
        if files.get_file_info(f"{root}/{name}").is_file:
            files.delete_file(f"{root}/{name}")

    def _refuse_silent(self) -> None:
        """Refuse an `endpoint_override` that doesn't answer: AWS's client would try it for minutes."""
        endpoint = parse_qs(urlsplit(self.uri).query).get("endpoint_override", [""])[0]
        address = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        if address.hostname:
            port = address.port or (80 if address.scheme == "http" else 443)
            socket.create_connection((address.hostname, port), ANSWER_S).close()

    def _open(self) -> tuple[Any, str]:
        from pyarrow import ArrowInvalid
        from pyarrow.fs import FileSystem

        try:
            return FileSystem.from_uri(self.uri)
        except (ArrowInvalid, OSError) as error:
            raise InputError(f"{self.uri}: {_first_line(error)}") from None

    def _tried(self, ask: Any) -> Any:
        try:
            self._refuse_silent()
            return ask()
        except OSError as error:
            raise InputError(
                f"{self.uri}: can't be reached ({_first_line(error)}); check the address, its bucket and "
                "its credentials"
            ) from None


def is_uri(place: object) -> bool:
    """Whether this is a URI rather than the path of a folder."""
    return "://" in str(place)


def refuse_credentials(name: str, uri: str) -> None:
    """Refuse a URI with a user or key, as it is written to runs, tables and pages; the message doesn't show it.

    Raises:
        InputError: it holds them; names the argument.
    """
    if "@" in urlsplit(uri).netloc:
        raise InputError(
            f"{name}: the URI holds credentials, which would be saved with the results; give them by the environment "
            "variables or files of AWS instead"
        )


def refuse_uri(name: str, place: str | Path) -> None:
    """Refuse a URI for what must be on this machine.

    Raises:
        InputError: `place` is a URI, or a `Path` that was made of one, which has lost a slash; names the argument.
    """
    if found := _URI.match(str(place)):
        uri = f"{found[1]}://{'/' if found[1] == 'file' else ''}{found[2]}"
        raise InputError(f"{name} {uri}: must be a path on this machine, not a URI")


def absolute(place: str | Path) -> str | Path:
    """Return a URI as it is, and a path made absolute; `Path` would take one of the two slashes of a URI."""
    return str(place) if is_uri(place) else Path(place).absolute()


def below(place: str | Path, name: str) -> str:
    """Return the path or URI of that name in a folder."""
    return (Remote(str(place)) / name).uri if is_uri(place) else str(Path(place).absolute() / name)


def _put(files: Any, path: str, content: bytes) -> None:
    """Write a file that others see whole or not at all, as object stores do by themselves and folders don't."""
    beside = f"{path}.{secrets.token_hex(4)}{UNFINISHED}" if files.type_name == "local" else path
    with files.open_output_stream(beside) as stream:
        stream.write(content)
    if beside != path:
        files.move(beside, path)


def _differs(copy: Path, info: Any, *, newer_stays: bool) -> bool:
    """Whether a file on disk isn't the copy of this one, by its size and time (or isn't newer)."""
    state = _state(copy)
    if state and newer_stays and state[0] > info.mtime_ns:
        return False
    return state != (info.mtime_ns, info.size)


def _state(file: Path) -> tuple[int, int] | None:
    """A file's time (ns) and size; None if there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].strip()
