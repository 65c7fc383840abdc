"""The script for SLURM under stand-ins for its two commands: a real Ray on loopback, and a tiny search on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.made_up.spaces import SMALL

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm.sbatch"
STAND_INS = {
    # Drops srun's own options, as far as the script uses them, and runs the rest here.
    "srun": 'while [[ $1 == -* ]]; do [[ $1 == -w ]] && shift; shift; done; exec "$@"',
    "scontrol": "echo localhost",
}


@pytest.fixture
def job(tmp_path) -> dict[str, str]:
    """The environment of a job of one node."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in STAND_INS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_CPUS_PER_TASK": "1",
        "ICHTUNE_BIN": str(Path(sys.executable).parent),
        "ICHTUNE_HEAD_IP": "127.0.0.1",
        "PYTHONPATH": str(SCRIPT.parents[1]),
    }


def submit(job: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = ["timeout", "-k", "10", "200", "bash", str(SCRIPT), *options]
    return subprocess.run(command, env=job, capture_output=True, text=True, check=False)


def test_a_search_without_a_name_is_refused_as_it_could_not_resume(job):
    done = submit(job, "--trials", "1")
    assert (done.returncode, done.stderr.split(":")[1]) == (2, " --name")


@pytest.mark.timeout(240)
def test_a_job_searches_on_its_own_ray_and_leaves_no_token(job, banked_store, tmp_path):
    (tmp_path / "small.yaml").write_text(
        yaml.safe_dump({**SMALL, "training": {"epochs": 1, "batch_size": 8}})
    )
    given = ["--data", str(banked_store), "--space", str(tmp_path / "small.yaml"), "--folds", "3"]
    done = submit(job, "--name", "try", "--trials", "1", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the cluster has 1 machine with 1 core and 0 GPUs" in done.stdout
    assert (tmp_path / "runs" / "try" / "results" / "ranked.csv").is_file()
    assert not list(tmp_path.glob(".ray-*"))
