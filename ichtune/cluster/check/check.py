"""What is wrong with a cluster file of any kind."""

from pathlib import Path

from ichtune.cluster.check.kuberay import check_kuberay
from ichtune.cluster.check.ray_file import check_ray_file
from ichtune.cluster.check.slurm import check_slurm
from ichtune.cluster.check.written import Finding, documents
from ichtune.errors import InputError
from ichtune.files import read_bounded

MOST_BYTES = 1_000_000


def check(path: Path) -> list[Finding]:
    """Return what is wrong with a file, by line: Ray's YAML, KubeRay's RayJob, or an sbatch script.

    Raises:
        InputError: it can't be read, or is none of these.
    """
    try:
        text = read_bounded(path, MOST_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a cluster file") from None
    if text.startswith("#!"):
        return check_slurm(text)
    files = documents(text, str(path))
    if not files or not all(isinstance(file.value, dict) for file in files):
        raise InputError(
            f"{path}: holds no mapping; give a YAML file for `ray up` or KubeRay, or an sbatch script"
        )
    kinds = [file.value.get("kind") for file in files]
    if kinds.count("RayJob") == 1:
        return sorted(check_kuberay(files))
    if any(kinds):
        raise InputError(f"{path}: must have one RayJob, has {', '.join(map(str, kinds))}")
    if len(files) > 1:
        raise InputError(f"{path}, line {files[1].line()}: a second document begins; `ray up` reads only one")
    return sorted(check_ray_file(files[0]))
