"""Checks of KubeRay's RayJob, with the claims that are in the same file."""

from collections.abc import Iterator, Sequence
from typing import Any

from ichtune.cluster.check.kuberay_schema import JOB, OTHER
from ichtune.cluster.check.shape import misshapen
from ichtune.cluster.check.written import Document, Finding, at, items
from ichtune.wording import not_one_of

CLUSTER = ("spec", "rayClusterSpec")
HEAD = (*CLUSTER, "headGroupSpec")
Keys = tuple[object, ...]


def check_kuberay(files: Sequence[Document]) -> list[Finding]:
    """Return what is wrong with the file of a RayJob."""
    (job,) = (file for file in files if file.value.get("kind") == "RayJob")
    if found := [each for file in files for each in misshapen(file, JOB if file is job else OTHER)]:
        return found
    groups = [(*CLUSTER, "workerGroupSpecs", index) for index in range(len(_workers(job)))]
    found = [*_fields(job), *_job(job), *_token(job)]
    for group in (HEAD, *groups):
        found += _resources(job, group)
        found += _storage(job, group, files)
    return [*found, *_growth(job, groups)]


def _workers(job: Document) -> list[Any]:
    return items(at(job.value, *CLUSTER, "workerGroupSpecs"))


def _group(job: Document, keys: Keys) -> Any:
    return _workers(job)[keys[-1]] if isinstance(keys[-1], int) else at(job.value, *keys)


def _name(keys: Keys) -> str:
    return ".".join(map(str, keys))


def _fields(job: Document) -> Iterator[Finding]:
    version = job.value.get("apiVersion")
    if version != "ray.io/v1":
        what = f"apiVersion: {not_one_of(version, ['ray.io/v1'])}"
        yield Finding(job.line("apiVersion"), what, "use ray.io/v1")
    for keys in (("spec", "entrypoint"), HEAD, (*CLUSTER, "workerGroupSpecs"), (*CLUSTER, "rayVersion")):
        if not at(job.value, *keys):
            yield Finding(job.line(*keys), f"{_name(keys)}: is missing", "add it")


def _job(job: Document) -> Iterator[Finding]:
    if at(job.value, "spec", "shutdownAfterJobFinishes") is not True:
        yield Finding(
            job.line("spec", "shutdownAfterJobFinishes"),
            "spec.shutdownAfterJobFinishes: the cluster, and what it costs, outlives the search",
            "set it to true",
        )
    for keys in ((*HEAD, "serviceType"), (*HEAD, "headService", "spec", "type")):
        service = at(job.value, *keys)
        if service not in (None, "ClusterIP"):
            what = f"{_name(keys)}: {service} exposes the dashboard, which runs any code sent to it"
            yield Finding(job.line(*keys), what, "use ClusterIP, and `kubectl port-forward`")
    if at(job.value, *HEAD, "enableIngress"):
        line = job.line(*HEAD, "enableIngress")
        yield Finding(line, f"{_name(HEAD)}.enableIngress: exposes the dashboard", "remove it")


def _token(job: Document) -> Iterator[Finding]:
    if at(job.value, *CLUSTER, "authOptions", "mode") != "token":
        yield Finding(
            job.line(*CLUSTER, "authOptions", "mode"),
            f"{_name(CLUSTER)}: this Ray runs the code of every pod that reaches its ports",
            "add `authOptions: {mode: token}` (KubeRay 1.5.1 or newer)",
        )


def _containers(job: Document, keys: Keys) -> list[Any]:
    return items(at(_group(job, keys), "template", "spec", "containers"))


def _resources(job: Document, keys: Keys) -> Iterator[Finding]:
    place = (*keys, "template", "spec", "containers")
    containers = _containers(job, keys)
    if not containers:
        yield Finding(job.line(*place), f"{_name(place)}: is missing", "add Ray's container")
        return
    limits = at(containers[0], "resources", "limits") or {}
    missing = [kind for kind in ("cpu", "memory") if kind not in limits]
    if missing:
        yield Finding(
            job.line(*place, 0, "resources", "limits"),
            f"{_name(keys)}: its container has no limit of {' and of '.join(missing)}",
            "set it: Ray counts a pod's cores and memory by its limits",
        )


def _storage(job: Document, keys: Keys, files: Sequence[Document]) -> Iterator[Finding]:
    pod = at(_group(job, keys), "template", "spec")
    mounted = {
        at(mount, "name") for each in _containers(job, keys) for mount in items(at(each, "volumeMounts"))
    }
    volumes = [volume for volume in items(at(pod, "volumes")) if at(volume, "name") in mounted]
    shared = [volume for volume in volumes if {"persistentVolumeClaim", "nfs", "csi"} & volume.keys()]
    place = (*keys, "template", "spec", "volumes")
    if not shared:
        yield Finding(
            job.line(*place),
            f"{_name(keys)}: mounts no volume that all pods share",
            "mount a claim that is ReadWriteMany, for stores and runs",
        )
    for volume in shared:
        name = at(volume, "persistentVolumeClaim", "claimName")
        for file in files:
            if (
                file.value.get("kind") == "PersistentVolumeClaim"
                and at(file.value, "metadata", "name") == name
            ):
                modes = items(at(file.value, "spec", "accessModes"))
                if "ReadWriteMany" not in modes:
                    line, what = (
                        file.line("spec", "accessModes"),
                        f"spec.accessModes: not all pods can write to {name}",
                    )
                    yield Finding(line, what, "use ReadWriteMany")


def _growth(job: Document, groups: Sequence[Keys]) -> Iterator[Finding]:
    for keys in groups:
        least, most = (at(_group(job, keys), f"{end}Replicas") for end in ("min", "max"))
        if isinstance(least, int) and isinstance(most, int) and least > most:
            yield Finding(
                job.line(*keys, "minReplicas"),
                f"{_name(keys)}: minReplicas {least} is above maxReplicas {most}",
                "lower it",
            )
        if least != most and at(job.value, *CLUSTER, "enableInTreeAutoscaling") is not True:
            yield Finding(
                job.line(*CLUSTER, "enableInTreeAutoscaling"),
                f"{_name(keys)}: never grows, because the autoscaler is off",
                f"set {_name(CLUSTER)}.enableInTreeAutoscaling to true",
            )
