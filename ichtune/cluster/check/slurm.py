"""Checks of an sbatch script that starts Ray on its nodes."""

import re
import subprocess
from collections.abc import Iterator

from ichtune.cluster.check.written import Finding

NEEDED = {
    "nodes": "say on how many nodes",
    "time": "say for how long, or the partition's default ends the search",
    "cpus-per-task": "say how many cores each node gives, or Ray gets one",
}
SHORT = {"N": "nodes", "t": "time", "c": "cpus-per-task", "G": "gpus"}


def check_slurm(text: str) -> list[Finding]:
    """Return what is wrong with a script."""
    lines = _joined(text)
    if why := _syntax(text):
        return [why]
    return sorted([*_directives(text), *_starts(lines), *_secrets(lines)])


def _joined(text: str) -> list[tuple[int, str]]:
    """The commands of a script with their line numbers; continued lines are joined, comments left out."""
    commands: list[tuple[int, str]] = []
    begun, parts = 1, ""
    for number, line in enumerate(text.splitlines(), start=1):
        begun = begun if parts else number
        parts += line.removesuffix("\\")
        if not line.endswith("\\"):
            if not parts.lstrip().startswith("#"):
                commands.append((begun, parts))
            parts = ""
    return commands


def _syntax(text: str) -> Finding | None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    line = re.search(r"line (\d+): (.*)", done.stderr)
    return Finding(
        int(line[1]) if line else 1, f"not bash: {line[2] if line else done.stderr.strip()}", "correct it"
    )


def _directives(text: str) -> Iterator[Finding]:
    asked, code = set(), False
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.match(r"#SBATCH\s+(?:--([\w-]+)|-(\w))", line):
            if code:
                yield Finding(number, "SLURM ignores #SBATCH after the first command", "move it up")
            else:
                asked.add(found[1] or SHORT.get(found[2], found[2]))
        code = code or bool(line.strip() and not line.lstrip().startswith("#"))
    for name, why in NEEDED.items():
        if name not in asked:
            yield Finding(1, f"has no `#SBATCH --{name}`", why)
    if any(name.startswith(("gpu", "gres")) for name in asked) and "--num-gpus" not in text:
        yield Finding(
            1, "asks for GPUs, and `ray start` lacks --num-gpus", "add it with the job's number of GPUs"
        )


def _starts(lines: list[tuple[int, str]]) -> Iterator[Finding]:
    starts = [(number, line) for number, line in lines if re.search(r"\bray\"? start\b", line)]
    if not starts:
        yield Finding(1, "never starts Ray", "run `ray start --block` on each node by srun")
    for number, line in starts:
        if "--block" not in line:
            yield Finding(number, "`ray start` returns at once, and srun then ends its Ray", "add --block")
        if "srun" not in line:
            yield Finding(number, "`ray start` runs on the first node only", "run it by srun")
    for number, line in lines:
        host = re.search(r"--dashboard-host[= ](\S+)", line)
        if host and host[1] not in ("127.0.0.1", "localhost"):
            what = f"the dashboard, which runs any code sent to it, listens on {host[1]}"
            yield Finding(number, what, "use --dashboard-host=127.0.0.1")
        if re.search(r"\bray\"? stop\b|\bp?kill(all)? .*\bray\b", line):
            what = "this ends every Ray of yours on the node, those of other jobs included"
            yield Finding(number, what, "end the steps that this job started, by their process ids")


def _secrets(lines: list[tuple[int, str]]) -> Iterator[Finding]:
    code = "\n".join(line for _, line in lines)
    if "RAY_AUTH_MODE=token" not in code:
        what = "other users of the nodes can run code as you: Ray asks for no token"
        yield Finding(1, what, "export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH before `ray start`")
    elif "RAY_AUTH_TOKEN" not in code and "auth_token" not in code:
        yield Finding(1, "gives Ray no token", "export RAY_AUTH_TOKEN_PATH, a file that only you can read")
    for number, line in lines:
        own = re.search(
            r"(?:--(?:runs|data|bank)[= ]|\bshared=)[\"']?(/tmp|/dev/shm|/var/tmp|\$\{?TMPDIR)", line
        )
        if own:
            what = f"{own[1]} is each node's own, and trials on other nodes can't write to it"
            yield Finding(number, what, "use a folder that all nodes share")
