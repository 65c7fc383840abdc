"""Cluster files with one thing broken: it is found, with its line; the files of the repository pass."""

import copy
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.cluster.check.check import check
from ichtune.errors import InputError

CHECKOUT = Path(__file__).parents[2]
AWS, GCP, OWN, KUBERAY, SLURM = FILES = (
    "cluster.yaml",
    "deploy/gcp.yaml",
    "deploy/on-premises.yaml",
    "deploy/kuberay.yaml",
    "deploy/slurm.sbatch",
)
BROKEN = [
    # file, what is written, what is written instead, what is found, on which line of the broken file
    (AWS, "cluster_name: ichtune", "cluster_nam: ichtune", "cluster_nam", "cluster_nam:"),
    (
        AWS,
        "max_workers: 4  #",
        "max_workers: many  #",
        "max_workers: 'many' is not a whole number; write it as `max_workers: 1`",
        "max_workers: many",
    ),
    (AWS, "  min_workers: 0", "  min_workers: -1", "gpu.min_workers: -1 is below 0; use at least 0", "-1"),
    (AWS, "  min_workers: 0", "  min_workers: 5", "max_workers: 4 is below the sum", "max_workers: 4"),
    (AWS, "  min_workers: 0", "  min_workers: 5", "min_workers 5 is above max_workers 4", "min_workers: 5"),
    (AWS, "{CPU: 4, GPU: 1}", "4", "gpu.resources: 4 is not a mapping; write it as `resources: {", ": 4"),
    (AWS, "VolumeSize: ", "VolumSize: ", "unknown key 'VolumSize' in available_node_types.head", "VolumSize"),
    (AWS, "VolumeType: gp3", "VolumeType: gp33", "'gp33' is not one of standard, io1", "gp33"),
    (AWS, "idle_timeout_minutes: 10", "idle_timeout_minutes: [5]", "[5] is not a number", "[5]"),
    (AWS, "  type: aws", "  type: azur", "'azur' is not one of", "type: azur"),
    (AWS, "  region: us-west-2", "", "provider: has no region", "provider:"),
    (AWS, "us-west-2\n", "us-west-9\n", "AWS has no region 'us-west-9'; did you mean", "us-west-9"),
    (AWS, "us-west-2\n", "Oregon\n", "'Oregon' is not the name of a region", "Oregon"),
    (
        AWS,
        "g5.xlarge\n",
        "g5.xlarg\n",
        "AWS has no machine 'g5.xlarg'; did you mean 'g5.xlarge'?",
        "g5.xlarg",
    ),
    (AWS, "g5.xlarge\n", "big\n", "'big' is not the name of a machine", ": big"),
    (AWS, "m6i.xlarge", "m6i_xlarge", "is not the name of a machine", "m6i_xlarge"),
    (AWS, "head_node_type: head", "head_node_type: heat", "did you mean 'head'?", "head_node_type"),
    (AWS, "{CPU: 4, GPU: 1}", "{CPU: 4}", "gpu.resources: has no GPU", "{CPU: 4}"),
    (AWS, "    resources: {CPU: 4, GPU: 1}", "", "gpu.resources: has no CPU and no GPU", "  gpu:"),
    (
        AWS,
        "--autoscaling-config=~/ray_bootstrap_config.yaml ",
        "",
        "lacks --autoscaling-config",
        "  - >-",
    ),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "listens on 0.0.0.0", "  - >-"),
    (AWS, "head_start_ray_commands:", "rsync_filter:", "(Ray's default for this provider)", ""),
    (AWS, "start --head --port", "start --port", "lacks --head", "  - >-"),
    (AWS, "--port=6379", "--port=6380", "joins port 6379, but the head listens on 6380", ""),
    (AWS, "export RAY_AUTH_MODE=token; ", "", "runs the code of everyone", ""),
    (
        AWS,
        "  - install -D -m 600 /shared/auth_token ~/.ray/auth_token",
        "  - 'true'",
        "worker_setup_commands: no command gives",
        "worker_setup",
    ),
    (
        AWS,
        "ray get-auth-token --generate > /shared/auth_token",
        "true",
        "head_setup_commands: no command gives",
        "head_setup",
    ),
    (
        AWS,
        "mountpoint -q /shared || sudo mount -t nfs4",
        "true",
        "no command mounts a folder",
        "worker_setup",
    ),
    (GCP, "  region: us-central1\n", "", "provider: has no region", "provider:"),
    (
        GCP,
        "  region: us-central1\n",
        "  region: us-east\n",
        "'us-east' is not the name of a region",
        "us-east",
    ),
    (GCP, "  project_id: MY-PROJECT", "  # project", "has no project_id", "provider:"),
    (GCP, "  availability_zone: us-central1-a", "  #", "has no availability_zone", "provider:"),
    (GCP, "machineType: g2-standard-4", "type: g2", "has no machineType", "node_config"),
    (
        GCP,
        "machineType: e2-standard-4",
        "machineType: e2",
        "'e2' is not the name of a machine",
        "machineType: e2",
    ),
    (OWN, " RAY_enable_autoscaler_v2=0", "", "never starts the workers", "head_start"),
    (
        OWN,
        "  worker_ips: [192.168.0.11, 192.168.0.12]",
        "  worker_ips: []",
        "has no worker_ips",
        "worker_ips",
    ),
    (OWN, "mountpoint -q /shared", "test -d /shared", "no command mounts", "worker_setup"),
    (OWN, "--dashboard-host=127.0.0.1", "--dashboard-host 0.0.0.0", "listens on 0.0.0.0", ""),
    (KUBERAY, "ray.io/v1", "ray.io/v1alpha1", "'ray.io/v1alpha1' is not one of ray.io/v1", "v1alpha1"),
    (KUBERAY, "  shutdownAfterJobFinishes: true", "", "outlives the search", "spec:"),
    (KUBERAY, "  entrypoint: >-", "  entrypiont: >-", "did you mean 'entrypoint'?", "entrypiont"),
    (KUBERAY, "    authOptions: {mode: token}", "", "runs the code of every pod", "rayClusterSpec"),
    (KUBERAY, "{mode: token}", "{mode: disabled}", "runs the code of every pod", "mode: disabled"),
    (KUBERAY, "    enableInTreeAutoscaling: true", "", "the autoscaler is off", "rayClusterSpec"),
    (KUBERAY, "serviceType: ClusterIP", "serviceType: LoadBalancer", "exposes the dashboard", "LoadBalancer"),
    (KUBERAY, "maxReplicas: 4", "maxReplica: 4", "did you mean 'maxReplicas'?", "maxReplica: 4"),
    (KUBERAY, "minReplicas: 0", "minReplicas: 5", "minReplicas 5 is above maxReplicas 4", "minReplicas: 5"),
    (
        KUBERAY,
        "[ReadWriteMany]",
        "[ReadWriteOnce]",
        "not all pods can write to ichtune-shared",
        "ReadWriteOnce",
    ),
    (
        KUBERAY,
        "persistentVolumeClaim: {claimName: ichtune-shared}",
        "emptyDir: {}",
        "no volume that all pods",
        "volumes",
    ),
    (
        KUBERAY,
        'limits: {cpu: "4", memory: 8Gi}',
        "limits: {memory: 8Gi}",
        "no limit of cpu",
        "limits: {memory",
    ),
    (KUBERAY, "    rayVersion: 2.60.0", "    #", "rayVersion: is missing", "rayClusterSpec"),
    (SLURM, "#SBATCH --time=08:00:00", "#", "has no `#SBATCH --time`", "#!"),
    (SLURM, "#SBATCH --cpus-per-task=8", "#", "has no `#SBATCH --cpus-per-task`", "#!"),
    (SLURM, "#SBATCH --nodes=2", "true\n#SBATCH --nodes=2", "ignores #SBATCH after", "#SBATCH --nodes=2"),
    (SLURM, " --block", "", "add --block", "srun --nodes=1 --ntasks=1 --overlap --cpus"),
    (SLURM, '--num-gpus="$gpus"', "", "lacks --num-gpus", "#!"),
    (SLURM, "RAY_AUTH_MODE=token ", "", "asks for no token", "#!"),
    (SLURM, "--include-dashboard=false", "--dashboard-host=0.0.0.0", "listens on 0.0.0.0", "0.0.0.0"),
    (SLURM, 'kill "${started[@]}" 2>', '"$bin/ray" stop 2>', "every Ray of yours", 'ray" stop'),
    (SLURM, "shared=${ICHTUNE_SHARED:-$SLURM_SUBMIT_DIR}", "shared=/tmp", "each node's own", "shared=/tmp"),
    (SLURM, "cleanup() {", "cleanup() {{", "not bash", ""),
]


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_repository_pass(name):
    done = CliRunner().invoke(app, ["cluster", "check", str(CHECKOUT / name)])
    assert (done.exit_code, done.output.strip()) == (0, f"{CHECKOUT / name}: nothing found")


def test_every_kind_of_cluster_file_in_the_repository_is_tested():
    found = {path for kind in ("*.yaml", "*.sbatch") for path in (CHECKOUT / "deploy").glob(kind)}
    assert found | {CHECKOUT / AWS} == {CHECKOUT / name for name in FILES}


@pytest.mark.parametrize(("name", "old", "new", "what", "line"), BROKEN)
def test_what_is_broken_is_found_on_its_line(name, old, new, what, line, tmp_path):
    text = (CHECKOUT / name).read_text()
    assert old in text
    file = tmp_path / Path(name).name
    file.write_text(text.replace(old, new, 1))
    found = [finding for finding in check(file) if what in str(finding)]
    assert found, check(file)
    assert line in file.read_text().splitlines()[found[0].line - 1]


@pytest.mark.parametrize("name", [AWS, OWN, KUBERAY])
def test_no_value_of_a_wrong_type_makes_ray_or_a_check_stumble(name, tmp_path):
    documents = list(yaml.safe_load_all((CHECKOUT / name).read_text()))
    keys = [
        keys
        for keys in mapping_keys(documents[0])
        if keys[-1] != "kind" and (name == AWS or "node_config" not in keys)
    ]
    assert len(keys) > 20
    for place in keys:
        for wrong in ("two", [5], 7.5):
            changed = copy.deepcopy(documents)
            below = reduce(getitem, place[:-1], changed[0])
            if type(below[place[-1]]) is type(wrong):
                continue
            below[place[-1]] = wrong
            file = tmp_path / "file.yaml"
            file.write_text(yaml.safe_dump_all(changed))
            for finding in check(file):
                assert "Ray can't read this" not in str(finding), (place, wrong)


def mapping_keys(value: object, above: tuple = ()) -> Iterator[tuple]:
    """Every key of a mapping in a document, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*above, key)
            yield from mapping_keys(item, (*above, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mapping_keys(item, (*above, index))


def test_keys_without_quotes_and_files_without_keys_are_found(tmp_path):
    config = yaml.safe_load((CHECKOUT / AWS).read_text())
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**config, "available_node_types": {5: {}}}))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({**config, "provider": "aws"}))
    assert "the key 5 is not text; put it in quotes" in str(check(tmp_path / "a.yaml")[0])
    assert str(check(tmp_path / "b.yaml")[0]).startswith("provider: 'aws' is not a mapping")


def test_findings_end_the_command_with_2_and_say_file_line_and_mend(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text((CHECKOUT / AWS).read_text().replace("  region: us-west-2\n", ""))
    done = CliRunner().invoke(app, ["cluster", "check", str(file)])
    assert done.exit_code == 2
    assert done.output.startswith(f"{file}, line 5: provider: has no region; add `region:`")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no mapping"),
        ("- a\n", "holds no mapping"),
        ("a: [\n", "line 2"),
        ("kind: Pod\n", "must have one RayJob, has Pod"),
        ("a: 1\n---\nb: 2\n", "line 3: a second document begins"),
        ("a: !!python/object:os.system 1\n", "line 1"),
    ],
)
def test_what_is_no_cluster_file_is_refused_in_one_line(text, message, tmp_path):
    (tmp_path / "file.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        check(tmp_path / "file.yaml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        check(tmp_path / "none.yaml")
