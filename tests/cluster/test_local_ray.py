"""A local Ray lets no other user in, and no word out of the machine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(240)

NOBODY = 65534

# Under the most generous umask. What another user may do is tried by processes that take that user's place: forked
# before there is a Ray, whose threads would not survive it, and with all imported, as they may not read it here.
SEARCH = f"""
import json, os, signal, socket, subprocess, sys
from pathlib import Path
os.umask(0)
signal.alarm(180)  # strace's own end would not be this one's
import psutil, ray
from ray._private import worker
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader, Config
from ray._raylet import GcsClient
from ichtune.cluster.connection import connected

def reach(path):
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(path)

def ask(address, mode, token):
    os.environ.update(RAY_AUTH_MODE=mode, RAY_AUTH_TOKEN=token)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    return GcsClient(address=address).internal_kv_keys(b"", namespace=None, timeout=5)

class Other:
    def __init__(self, what):
        here, there = socket.socketpair()
        if os.fork():
            self.there = here
            return
        here.close()
        given = json.loads(there.recv(10000))
        signal.alarm(60)
        os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
        try:
            answer = repr(what(*given))
        except BaseException as error:
            answer = f"{{type(error).__name__}}: {{error}}"
        there.send(answer.encode()[:1000])
        os._exit(0)

    def told(self, *given):
        self.there.send(json.dumps(list(map(str, given))).encode())
        return self.there.recv(10000).decode()

others = [Other(what) for what in (os.listdir, os.stat, reach, reach, ask, ask, ask)] if os.getuid() == 0 else []
before = dict(os.environ)
with connected(None):
    ray.get(ray.remote(lambda: None).remote())
    folder = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent
    secret = (folder / "token").read_text()
    family = [p for child in worker._global_node.all_processes.values() for p in [psutil.Process(child[0].process.pid)]]
    family += [p for parent in family for p in parent.children(recursive=True)]
    told = {{
        "modes": [folder.stat().st_mode, (folder / "token").stat().st_mode],
        "in command lines": [p.pid for p in family if secret in " ".join(p.cmdline())],
    }}
    sockets = sorted(file for file in folder.rglob("*") if file.is_socket())
    told["sockets"] = [file.name for file in sockets]
    if others:
        address = worker._global_node.gcs_address
        given = [(folder,), (folder / "token",), *zip(sockets), (address, "disabled", ""),
            (address, "token", "0" * 64), (address, "token", secret)]
        told["answers"] = [other.told(*what) for other, what in zip(others, given, strict=True)]
told["left"] = [str(folder)] * folder.exists() + [p.pid for p in family if p.is_running()]
told["changed"] = sorted(name for name, _ in set(before.items()) ^ set(os.environ.items()))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a search found out about its own Ray; `connections` where strace can follow them."""
    home = tmp_path_factory.mktemp("home")
    trace = home / "trace"
    follow = (
        ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(trace)] if shutil.which("strace") else []
    )
    environment = {**os.environ, "HOME": str(home), "RAY_AUTH_TOKEN": "of a cluster"}
    done = subprocess.run(
        [*follow, sys.executable, "-c", SEARCH],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    told["home"] = [str(file.relative_to(home)) for file in home.rglob(".ray*")]
    told["connections"] = trace.read_text() if follow else None
    return told


def test_its_token_and_sockets_are_in_a_private_folder_whatever_the_umask(told):
    assert list(map(stat.S_IMODE, told["modes"])) == [0o700, 0o600]
    assert told["sockets"] == ["plasma_store", "raylet"]
    assert not told["in command lines"]


def test_nothing_of_it_stays(told):
    assert told["left"] == told["home"] == []
    assert not [name for name in told["changed"] if name.startswith("RAY_AUTH")]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take another user's place")
def test_another_user_of_the_machine_is_refused(told):
    *files, without, wrong, right = told["answers"]
    assert [answer.partition(":")[0] for answer in files] == ["PermissionError"] * 4
    assert "Auth" in without
    assert "Auth" in wrong
    assert right.startswith("[")  # so the token is what was missing


def test_it_opens_no_connection_beyond_the_machine(told):
    if told["connections"] is None:
        pytest.skip("needs strace")
    addresses = set(re.findall(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', told["connections"]))
    seen = {(four or six).removeprefix("::ffff:") for four, six in addresses}
    assert "127.0.0.1" in seen
    assert seen <= {"127.0.0.1", "::1"}
