"""`deploy/on-premises.yaml` on two hosts over ssh: `ray up`, searches by `ray exec` and as jobs, `ray down`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ichtune.data.store import SliceStore
from tests.made_up.hosts import CHECKOUT, HEAD, SHARED, WORKER, Hosts, two_hosts
from tests.made_up.spaces import SMALL

pytestmark = pytest.mark.timeout(300)

RAY = Path(sys.executable).with_name("ray")
LAUNCH = f"{SHARED}/venv/bin/python ~/ichtune/launch.py --address auto"
SEARCH = (
    f"{LAUNCH} --wait-for cpu=2 --timeout 100 --data {SHARED}/data/store --space {SHARED}/data/small.yaml "
    f"--runs {SHARED}/runs --folds 3 --trials 2 --views 2"
)
JOB = f"RAY_AUTH_MODE=token {SHARED}/venv/bin/ray job"


class Cluster:
    """The cluster of the file, and how it is reached from the laptop."""

    def __init__(self, hosts: Hosts):
        self.hosts, self.file = hosts, hosts.folder / "cluster.yaml"
        self.file.write_text(adapted(hosts.key))

    def ray(self, command: str, *words: object, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        return self.hosts.on_laptop(*self.words(command, *words), timeout=timeout)

    def words(self, command: str, *words: object) -> list[str]:
        return list(map(str, [RAY, command, self.file, *words]))

    def table(self, name: str) -> Path:
        """The ranked table of a search, where the hosts write it."""
        return self.hosts.shared / "runs" / name / "results" / "ranked.csv"


def adapted(key: Path) -> str:
    """The file of the checkout with what its comments ask to change."""
    text = (CHECKOUT / "deploy" / "on-premises.yaml").read_text()
    for given, here in {
        "192.168.0.10": HEAD,
        "[192.168.0.11, 192.168.0.12]": f"[{WORKER}]",
        "_workers: 2": "_workers: 1",
        "~/.ssh/id_ed25519": str(key),
        "/shared": str(SHARED),
    }.items():
        assert given in text
        text = text.replace(given, here)
    return text


@pytest.fixture(scope="module")
def cluster(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two hosts after `ray up`, with a store and a search space in the folder that they share."""
    pytest.importorskip("aiohttp", reason="needs ray[default], of the development dependencies")
    with two_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        cluster, data = Cluster(hosts), hosts.folder / "data"
        shutil.copytree(prepared.path, data / "store")
        space = {**SMALL, "augmentation": "normal", "training": {"epochs": 1, "batch_size": 8}}
        (data / "small.yaml").write_text(yaml.safe_dump(space))
        for done in (cluster.ray("up", "-y"), cluster.ray("rsync-up", f"{data}/", f"{SHARED}/data/")):
            assert done.returncode == 0, done.stdout + done.stderr
        yield cluster


def test_a_search_by_ray_exec_waits_for_both_hosts_and_its_results_come_home(cluster):
    done = cluster.ray("exec", f"RAY_AUTH_MODE=token {SEARCH} --name first")
    assert done.returncode == 0, done.stdout + done.stderr
    home = cluster.hosts.folder / "runs"
    assert cluster.ray("rsync-down", f"{SHARED}/runs/", f"{home}/").returncode == 0
    ranked = pd.read_csv(home / "first" / "results" / "ranked.csv")
    assert ranked["rank"].tolist()[:2] == [1, 2]


def test_a_job_goes_on_and_ends_after_its_terminal_is_closed(cluster):
    submit = cluster.words("exec", f"{JOB} submit --submission-id second -- {SEARCH} --name second")
    terminal = cluster.hosts.begin_on_laptop(*submit)
    request = cluster.hosts.shared / "runs" / "second" / "search.yaml"
    try:
        for _ in range(1000):
            if request.is_file():
                break
            assert terminal.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(terminal.pid, signal.SIGHUP)
        terminal.communicate(timeout=20)
    assert not cluster.table("second").is_file()
    # `ray job status` has an exit code of 0 whatever the status is.
    ended = (
        f"timeout --foreground 100 sh -c 'until {JOB} status second | grep -w succeeded; do sleep 1; done'"
    )
    done = cluster.ray("exec", ended, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_csv(cluster.table("second"))["rank"].tolist()[:2] == [1, 2]


def test_a_search_that_fails_fails_its_job_and_the_command_that_submitted_it(cluster):
    done = cluster.ray("exec", f"{JOB} submit --submission-id third -- {LAUNCH} --data {SHARED}/nothing")
    assert done.returncode != 0
    assert f"{SHARED}/nothing" in done.stdout
    assert "failed with exit code 2" in " ".join(done.stdout.split())


def of_ray(hosts: Hosts) -> list[str]:
    """The command lines of Ray's processes on both hosts."""
    marks = ("gcs_server", "ray::", "/ray/")
    return [line for line in hosts.processes() if any(mark in line for mark in marks)]


def test_after_ray_down_no_ray_is_left_on_either_host(cluster):
    assert sum("raylet/raylet" in line for line in of_ray(cluster.hosts)) == 2
    assert cluster.ray("down", "-y").returncode == 0
    for _ in range(600):
        if not of_ray(cluster.hosts):
            break
        time.sleep(0.1)
    assert not of_ray(cluster.hosts)
