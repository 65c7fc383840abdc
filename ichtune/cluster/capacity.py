"""What a Ray cluster offers to trials, and whether any of its machines has room for one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, isfinite

from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from ichtune.errors import InputError
from ichtune.runs.settings import SearchSettings

FINEST = 1e-4
"""The smallest fraction of a core or GPU that Ray can allocate."""


@dataclass(frozen=True)
class Capacity:
    """The resources that a cluster offers to trials."""

    nodes: int
    cpus: int
    gpus: int
    cores_per_gpu: int = 1
    """The minimum over all GPU nodes: a task that requests more could wait forever."""
    each: tuple[tuple[int, int], ...] = ()
    """The cores and GPUs of every node."""

    @classmethod
    def of(cls, nodes: Iterable[Mapping[str, float]]) -> "Capacity":
        """The total of the nodes. GPUs of a node without cores don't count, as every task needs a core."""
        each = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
        each = [(cores, gpus if cores else 0) for cores, gpus in each]
        shares = [cores // gpus for cores, gpus in each if gpus]
        return cls(
            nodes=len(each),
            cpus=sum(cores for cores, _ in each),
            gpus=sum(gpus for _, gpus in each),
            cores_per_gpu=max(1, min(shares, default=1)),
            each=tuple(each),
        )

    @classmethod
    def here(cls) -> "Capacity":
        """What a local Ray would have by Ray's own count (cgroups, CUDA_VISIBLE_DEVICES), without starting one."""
        found = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1")
        return cls.of([found.to_resource_dict()])

    def grown_for(self, trials: int, *, cpus: float, gpus: float) -> "Capacity":
        """At least what this many concurrent trials need: an autoscaler adds machines only once tasks are waiting."""
        return replace(
            self, cpus=max(self.cpus, ceil(trials * cpus)), gpus=max(self.gpus, ceil(trials * gpus))
        )

    def has_room_for(self, cpus: float, gpus: float) -> bool:
        """Whether a single node has this many cores and GPUs."""
        return any(cpus <= cores and gpus <= cards for cores, cards in self.each)

    def cores_for_each(self, tasks: int) -> int:
        """The cores of each of this many concurrent tasks, none of which can be on two machines."""
        most = max((cores for cores, _ in self.each), default=1)
        rooms = ((share, sum(cores // share for cores, _ in self.each)) for share in range(most, 1, -1))
        return next((share for share, room in rooms if room >= tasks), 1)

    def __str__(self) -> str:
        kinds = {node: self.each.count(node) for node in sorted(set(self.each), reverse=True)}
        return ", ".join(
            f"{_count(count, 'machine')} with {_count(cores, 'core')} and {_count(gpus, 'GPU')}"
            for (cores, gpus), count in kinds.items()
        )


def trial_resources(settings: SearchSettings, capacity: Capacity) -> dict[str, float]:
    """The resources of each trial."""
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = 0.25 if capacity.gpus else 0.0
    return {"cpu": settings.cpus_per_trial, "gpu": gpus}


def concurrent_trials(settings: SearchSettings, capacity: Capacity) -> int:
    """How many trials run at once."""
    resources = trial_resources(settings, capacity)
    fit = capacity.cpus / resources["cpu"] if resources["cpu"] else float("inf")
    if resources["gpu"]:
        fit = min(fit, capacity.gpus / resources["gpu"])
    return max(1, min(int(fit), settings.max_concurrent or int(fit), settings.trials))


def refuse_impossible_shares(settings: SearchSettings) -> None:
    """Raise an InputError for a number of cores or GPUs that Ray can't allocate."""
    gpus = settings.gpus_per_trial or 0.0
    for flag, value in (("--cpus-per-trial", settings.cpus_per_trial), ("--gpus-per-trial", gpus)):
        if not isfinite(value) or value < 0 or abs(value / FINEST - round(value / FINEST)) > FINEST:
            raise InputError(f"{flag}: must be a multiple of {FINEST:g}, as Ray counts, got {value:g}")
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"--gpus-per-trial: must be a fraction of one GPU or a whole number, got {gpus:g}")


def refuse_what_fits_nowhere(settings: SearchSettings, capacity: Capacity) -> None:
    """Raise an InputError if no machine has room for a trial, which would then wait forever."""
    cpus, gpus = trial_resources(settings, capacity).values()
    if capacity.has_room_for(cpus, gpus):
        return
    fixes = [
        flag
        for flag, fits in (
            ("--cpus-per-trial", capacity.has_room_for(cpus, 0)),
            ("--gpus-per-trial", capacity.has_room_for(0, gpus)),
        )
        if not fits
    ] or ["--cpus-per-trial", "--gpus-per-trial"]
    where = f"the cluster at {settings.address}" if settings.address else "this machine's own Ray"
    growing = "; if the cluster can grow, set --max-concurrent to say how far" if settings.address else ""
    raise InputError(
        f"{fixes[0]}: a trial must fit on one machine, got {_count(cpus, 'core')} and {_count(gpus, 'GPU')} for "
        f"each, and {where} has {capacity}; lower {' or '.join(fixes)}{growing}"
    )


def refuse_too_many(workers: int, capacity: Capacity) -> None:
    """Raise an InputError for more workers of a training than there are GPUs or, without any, cores."""
    slots, kind = (capacity.gpus, "GPUs") if capacity.gpus else (capacity.cpus, "cores")
    if workers > slots:
        raise InputError(f"--workers: there are {slots} {kind} to run on, so use at most that, got {workers}")


def usable_capacity(found: Capacity, settings: SearchSettings) -> Capacity:
    """What a search can count on: what was found or, on an autoscaling cluster, at least what the search requests.

    Raises:
        InputError: no machine has room for a trial and nothing says how far the cluster may grow, or Ray can't
            allocate such a share of a machine.
    """
    refuse_impossible_shares(settings)
    if settings.address and settings.max_concurrent:
        gpus = settings.gpus_per_trial or 0.0
        return found.grown_for(settings.max_concurrent, cpus=settings.cpus_per_trial, gpus=gpus)
    if settings.address and not found.cpus:
        raise InputError(
            f"--address: the cluster at {settings.address} has no cores for trials yet; set --max-concurrent, and "
            "--gpus-per-trial for GPUs, to say how far it may grow"
        )
    refuse_what_fits_nowhere(settings, found)
    return found


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"
