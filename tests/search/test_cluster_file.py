"""What `cluster.yaml` asks of Ray and AWS, as far as it can be told without an account."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CHECKOUT = Path(__file__).parents[2]
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@pytest.fixture
def written() -> dict[str, Any]:
    """The file as it stands."""
    return yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())


@pytest.fixture
def complete(written: dict[str, Any]) -> dict[str, Any]:
    """The file with what Ray fills in for AWS."""
    return prepare_config(written)


def ray_start(config: dict[str, Any], kind: str) -> list[str]:
    """The words of the one `ray start` of a kind of node."""
    (command,) = [text for text in config[f"{kind}_start_ray_commands"] if "ray start" in text]
    return shlex.split(command)


def commands(config: dict[str, Any]) -> Iterator[str]:
    for name in COMMANDS:
        yield from config[name]


def test_ray_accepts_it(complete):
    validate_config(complete)


def test_ray_fills_in_no_command_of_its_own(written, complete):
    assert list(commands(complete)) == list(commands(written))


def test_it_says_where_its_machines_are_and_what_they_are(complete):
    assert re.fullmatch(r"[a-z]{2}-[a-z]+-\d", complete["provider"]["region"])
    for node in complete["available_node_types"].values():
        assert re.fullmatch(r"[a-z0-9-]+\.[a-z0-9]+", node["node_config"]["InstanceType"])
        # Ray's own default image is older than what torch needs.
        assert node["node_config"]["ImageId"].startswith(("resolve:ssm:/aws/service/", "ami-"))
        assert {"CPU", "GPU"} <= node["resources"].keys()


def test_the_head_runs_no_trials_and_the_workers_come_with_the_load(complete):
    nodes = dict(complete["available_node_types"])
    assert nodes.pop(complete["head_node_type"])["resources"] == {"CPU": 0, "GPU": 0}
    assert all(node["resources"]["GPU"] >= 1 for node in nodes.values())
    assert all(node["min_workers"] == 0 for node in nodes.values())
    assert complete["max_workers"] == sum(node["max_workers"] for node in nodes.values()) > 1


def test_the_head_starts_the_autoscaler_and_keeps_its_dashboard_local(complete):
    words = ray_start(complete, "head")
    assert "--head" in words
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in words
    assert [word for word in words if "dashboard-host" in word] == ["--dashboard-host=127.0.0.1"]


def test_the_workers_join_the_port_that_the_head_listens_on(complete):
    (port,) = [word.partition("=")[2] for word in ray_start(complete, "head") if word.startswith("--port=")]
    assert f"--address=$RAY_HEAD_IP:{port}" in ray_start(complete, "worker")


def test_every_ray_asks_for_a_token_that_each_worker_has(complete):
    for kind in ("head", "worker"):
        assert ray_start(complete, kind)[:2] == ["export", "RAY_AUTH_MODE=token;"]
    assert any("--generate > /shared/auth_token" in text for text in complete["head_setup_commands"])
    assert "install -D -m 600 /shared/auth_token ~/.ray/auth_token" in complete["worker_setup_commands"]


def test_the_code_that_is_brought_there_is_all_that_its_installation_needs(complete):
    mounts = complete["file_mounts"]
    for path in mounts.values():
        assert (CHECKOUT / path).exists(), path
    assert {remote.rpartition("/")[0] for remote in mounts} == {"/home/ubuntu/ichtune"}
    needed = {"ichtune", "analysis", "search_spaces", "pyproject.toml", "README.md", "LICENSE", "launch.py"}
    assert needed | {"pins.txt"} == set(mounts.values())


def test_its_commands_are_sound_shell(complete):
    for text in commands(complete):
        subprocess.run(["bash", "-n", "-c", text], check=True)


def test_the_guide_uses_the_folder_and_interpreter_that_the_file_sets_up(complete):
    guide = (CHECKOUT / "README.md").read_text()
    (launch,) = [line for line in guide.splitlines() if "launch.py --address auto" in line]
    words = shlex.split(shlex.split(launch)[-1])
    assert words[words.index("launch.py") - 1] == "/shared/venv/bin/python"
    assert words[words.index("--data") + 1].startswith("/shared/")
    assert words[words.index("--runs") + 1] == "/shared/runs"
    trials, share = (float(words[words.index(flag) + 1]) for flag in ("--max-concurrent", "--gpus-per-trial"))
    gpus = sum(
        node["max_workers"] * node["resources"]["GPU"] for node in complete["available_node_types"].values()
    )
    assert trials * share == gpus
