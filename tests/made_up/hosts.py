"""A laptop and two hosts that it reaches by ssh, all on this machine: namespaces joined by a bridge."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).parents[2]
USER, HEAD, WORKER = "ubuntu", "192.168.0.10", "192.168.0.11"
SHARED = Path("/tmp/shared")
"""What only the two hosts see."""

# Each has processes, mounts, a network and a /tmp of its own. All of it goes with the first process, which ends with
# its standard input: when the test closes it, or dies.
LAPTOP = """
set -eu
cd /
. "$1/own-tmp.sh"
ip link set lo up
ip link add lan type bridge
ip address add 192.168.0.1/24 dev lan
ip link set lan up
for host in head:192.168.0.10 worker:192.168.0.11; do
    name=${host%:*}
    ip netns add $name
    ip link add to-$name master lan up type veth peer name eth0 netns $name
    ip -n $name link set lo up
    ip -n $name address add ${host#*:}/24 dev eth0
    ip -n $name link set eth0 up
    # Leads nowhere; Ray takes the address that faces it.
    ip -n $name route add default via 192.168.0.1
    ip netns exec $name unshare --pid --fork --kill-child --mount --mount-proc --uts bash "$1/host.sh" "$1" $name &
done
for address in 192.168.0.10 192.168.0.11; do
    until (: < /dev/tcp/$address/22) 2> /dev/null; do sleep 0.1; done
done
echo ready
read -r || true
"""
OWN_TMP = """
mount -t tmpfs tmpfs /run
mkdir /run/outer
mount --rbind /tmp /run/outer
mount -t tmpfs tmpfs /tmp
for place in {places}; do
    [[ $place == /tmp/* ]] || continue
    mkdir -p "$place"
    mount --rbind "/run/outer/${{place#/tmp/}}" "$place"
done
"""
# `ray stop` ends every Ray that it sees, so it must see its own host's alone.
HOST = """
set -eu
hostname $2
. "$1/own-tmp.sh"
mkdir /run/sshd /tmp/shared /tmp/home
mount --bind "$1/shared" /tmp/shared
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /dev/shm
# One core each; a worker waits a minute for a lost head otherwise.
echo "export RAY_OVERRIDE_RESOURCES='{\\"CPU\\": 1}' RAY_gcs_rpc_server_reconnect_timeout_s=5" > /tmp/home/.bashrc
/usr/sbin/sshd -D -f "$1/sshd_config" &
wait
"""
SSHD = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
LogLevel ERROR
Subsystem sftp internal-sftp
"""
# The packages of this environment under the path where the hosts' would be.
PACKAGE_COMMAND = '#!/bin/sh\nexec {bin}/{name} "$@"\n'
# They are installed, and there is no network to install others from; what was asked for is kept.
PIP = '#!/bin/sh\necho "$PWD: $*" >> /tmp/shared/pip.log\n'


@dataclass(frozen=True)
class Hosts:
    """Two hosts of one core each, which share a folder, and the laptop beside them."""

    folder: Path
    holder: subprocess.Popen[str]

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def shared(self) -> Path:
        """What the hosts share, as this process sees it."""
        return self.folder / "shared"

    def on_laptop(self, *command: object, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command on the laptop, in the checkout."""
        with self.begin_on_laptop(*command) as begun:
            try:
                output, errors = begun.communicate(timeout=timeout)
            finally:
                begun.kill()
        return subprocess.CompletedProcess(begun.args, begun.returncode, output, errors)

    def begin_on_laptop(self, *command: object) -> subprocess.Popen[str]:
        """A command that runs on the laptop, in the checkout, and the leader of a process group."""
        (first,) = psutil.Process(self.holder.pid).children()
        enter = ["nsenter", f"--target={first.pid}", "--mount", "--net", "--pid", f"--wd={CHECKOUT}"]
        return subprocess.Popen(
            [*enter, *map(str, command)],
            env={**os.environ, "HOME": str(self.folder / "laptop"), "RAY_enable_autoscaler_v2": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> list[str]:
        """The command lines of all processes on the laptop and the hosts."""
        found = []
        for process in psutil.Process(self.holder.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended, or nobody has asked how
                found.append(" ".join(process.cmdline()))
        return found


def skip_without_namespaces() -> None:
    missing = [name for name in ("ip", "nsenter", "rsync", "ssh", "unshare") if not shutil.which(name)]
    missing += [] if Path("/usr/sbin/sshd").exists() else ["sshd"]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    tried = "ip link add lan type bridge && ip link add one type veth peer name two"
    if subprocess.run(["unshare", "--net", "--mount", "sh", "-c", tried], capture_output=True).returncode:
        pytest.skip("needs root and network namespaces")


@contextmanager
def two_hosts(folder: Path) -> Iterator[Hosts]:
    skip_without_namespaces()
    _furnish(folder)
    own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (
        open(folder / "log.txt", "w") as log,
        subprocess.Popen(
            ["unshare", *own, "bash", folder / "laptop.sh", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as holder,
    ):
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "ready\n", (folder / "log.txt").read_text()
            yield Hosts(folder, holder)
        finally:
            holder.communicate(timeout=20)


def _furnish(folder: Path) -> None:
    """Write what the laptop and the hosts consist of."""
    bin = folder / "shared" / "venv" / "bin"
    bin.mkdir(parents=True)
    (folder / "laptop").mkdir()
    places = " ".join(f"'{place}'" for place in (folder, CHECKOUT, sys.prefix, sys.base_prefix))
    here = Path("/etc/passwd").read_text()
    for name, text in {
        "laptop.sh": LAPTOP,
        "host.sh": HOST,
        "own-tmp.sh": OWN_TMP.format(places=places),
        "sshd_config": SSHD.format(folder=folder),
        # With the rights of root, because this environment may be where others can't read.
        "passwd": f"{USER}:x:0:0::/tmp/home:/bin/bash\n{here}",
    }.items():
        (folder / name).write_text(text)
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    commands = {
        name: PACKAGE_COMMAND.format(bin=Path(sys.executable).parent, name=name) for name in ("python", "ray")
    }
    for name, text in {**commands, "pip": PIP}.items():
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
