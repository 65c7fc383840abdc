"""A stand-in for S3 on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Bucket:
    """A bucket on the stand-in, and its record of requests."""

    port: int
    log: Path

    def uri(self, name: str) -> str:
        """The URI of a folder in the bucket."""
        where = f"http%3A%2F%2F127.0.0.1%3A{self.port}"
        return f"s3://bucket/{name}?endpoint_override={where}&allow_bucket_creation=true"

    def downloads(self, file: str) -> int:
        """How often a file, by its path in the bucket, has been read."""
        return self.log.read_text().count(f"GET /bucket/{file} ")


@contextmanager
def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Start a stand-in, whose log is in a folder, and give this process the credentials that it wants."""
    pytest.importorskip("moto", reason="needs moto, of the development dependencies")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    started = Bucket(5000 + os.getpid() % 4000, folder / "moto.log")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(started.port)]
    with open(started.log, "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            if "Running on" in started.log.read_text():
                break
            time.sleep(0.1)
        yield started
    finally:
        server.kill()
        server.wait()
