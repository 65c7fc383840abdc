"""A run at a URI (`s3://bucket/runs/name`), kept in sync with a folder on this machine's disk."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ichtune.errors import InputError
from ichtune.files import replacing

CACHE = "ichtune"

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
        """This machine's copy; the same path on every machine with the same cache folder."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / CACHE / "runs" / hashlib.sha256(self.uri.encode()).hexdigest()[:12] / self.name

    def has(self, name: str) -> bool:
        """Whether it has a file of that name.

        Raises:
            InputError: the URI can't be reached.
        """
        files, root = self._open()
        return self._tried(lambda: files.get_file_info(f"{root}/{name}")).is_file

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
            state = (file.stat().st_mtime_ns, file.stat().st_size)
            if sent.get(name) != state:
                files.create_dir(f"{root}/{name}".rpartition("/")[0], recursive=True)
                with files.open_output_stream(f"{root}/{name}") as stream:
                    stream.write(file.read_bytes())
                sent[name] = state

    def pull(self, folder: Path) -> None:
        """Download every file into a folder, keeping what only the folder has.

        Raises:
            InputError: the URI can't be reached, or has a file whose name leads out of it.
        """
        from pyarrow.fs import FileSelector

        files, root = self._open()
        chosen = FileSelector(root, recursive=True, allow_not_found=True)
        for found in self._tried(lambda: files.get_file_info(chosen)):
            if found.is_file:
                name = found.path[len(root) :].lstrip("/")
                if ".." in name.split("/"):
                    raise InputError(
                        f"{self.uri}: contains the file {name!r}, whose name leads out of the folder; delete it there"
                    )
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as file, files.open_input_stream(found.path) as stream:
                    file.write_bytes(stream.read())

    def drop(self, name: str) -> None:
        """Delete a file, if it exists."""
        files, root = self._open()
        if files.get_file_info(f"{root}/{name}").is_file:
            files.delete_file(f"{root}/{name}")

    def _open(self) -> tuple[Any, str]:
        from pyarrow import ArrowInvalid
        from pyarrow.fs import FileSystem

        try:
            return FileSystem.from_uri(self.uri)
        except (ArrowInvalid, OSError) as error:
            raise InputError(f"--runs: {self.uri}: {_first_line(error)}") from None

    def _tried(self, ask: Any) -> Any:
        try:
            return ask()
        except OSError as error:
            raise InputError(
                f"--runs: {self.uri}: can't be reached ({_first_line(error)}); check the address, its bucket and "
                "its credentials"
            ) from None


def is_uri(place: object) -> bool:
    """Whether this is a URI rather than the path of a folder."""
    return "://" in str(place)


def below(place: str | Path, name: str) -> str:
    """Return the path or URI of that name in a folder."""
    return (Remote(str(place)) / name).uri if is_uri(place) else str(Path(place).absolute() / name)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].strip()
