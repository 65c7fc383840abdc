"""The shape of a RayJob by KubeRay 1.6's ray.io/v1, as deep as the checks read it; what is null counts as missing."""

from typing import Any, Final


def _type(name: str) -> dict[str, Any]:
    return {"type": [name, "null"]}


TEXT: Final = _type("string")
FLAG: Final = _type("boolean")
WHOLE: Final = _type("integer")
COUNT: Final = WHOLE | {"minimum": 0}
MAPPING: Final = _type("object")
LIST: Final = _type("array")
QUANTITY: Final = {"type": ["string", "number", "null"]}


def _of(fields: dict[str, Any], *, others: bool = False) -> dict[str, Any]:
    """A mapping with these fields, and with others or not."""
    return MAPPING | {"properties": fields} | ({} if others else {"additionalProperties": False})


def _each(item: dict[str, Any]) -> dict[str, Any]:
    """A list of such items."""
    return LIST | {"items": item | {"type": "object"}}


def _quantities() -> dict[str, Any]:
    return MAPPING | {"additionalProperties": QUANTITY}


CONTAINER: Final = _of(
    {
        "name": TEXT,
        "image": TEXT,
        "command": LIST,
        "args": LIST,
        "env": LIST,
        "resources": _of({"limits": _quantities(), "requests": _quantities()}, others=True),
        "volumeMounts": _each(_of({"name": TEXT, "mountPath": TEXT}, others=True)),
    },
    others=True,
)
VOLUME: Final = _of(
    {
        "name": TEXT,
        "persistentVolumeClaim": _of({"claimName": TEXT}, others=True),
        "nfs": MAPPING,
        "csi": MAPPING,
        "emptyDir": MAPPING,
    },
    others=True,
)
TEMPLATE: Final = _of(
    {
        "metadata": MAPPING,
        "spec": _of(
            {"containers": _each(CONTAINER), "initContainers": _each(CONTAINER), "volumes": _each(VOLUME)},
            others=True,
        ),
    },
    others=True,
)
HEAD: Final = _of(
    {
        "enableIngress": FLAG,
        "headService": _of({"spec": MAPPING}, others=True),
        "labels": MAPPING,
        "rayStartParams": MAPPING,
        "resources": MAPPING,
        "serviceType": TEXT,
        "template": TEMPLATE,
    }
)
WORKERS: Final = _of(
    {
        "groupName": TEXT,
        "idleTimeoutSeconds": COUNT,
        "labels": MAPPING,
        "maxReplicas": COUNT,
        "minReplicas": COUNT,
        "numOfHosts": COUNT,
        "rayStartParams": MAPPING,
        "replicas": COUNT,
        "resources": MAPPING,
        "scaleStrategy": MAPPING,
        "suspend": FLAG,
        "template": TEMPLATE,
    }
)
CLUSTER: Final = _of(
    {
        "authOptions": _of({"mode": TEXT}, others=True),
        "autoscalerOptions": MAPPING,
        "enableInTreeAutoscaling": FLAG,
        "gcsFaultToleranceOptions": MAPPING,
        "headGroupSpec": HEAD,
        "headServiceAnnotations": MAPPING,
        "managedBy": TEXT,
        "networkPolicy": MAPPING,
        "rayVersion": TEXT,
        "suspend": FLAG,
        "upgradeStrategy": MAPPING,
        "workerGroupSpecs": _each(WORKERS),
    }
)
JOB: Final = _of(
    {
        "metadata": MAPPING,
        "spec": _of(
            {
                "activeDeadlineSeconds": WHOLE,
                "backoffLimit": WHOLE,
                "clusterSelector": MAPPING,
                "deletionStrategy": MAPPING,
                "entrypoint": TEXT,
                "entrypointNumCpus": _type("number"),
                "entrypointNumGpus": _type("number"),
                "entrypointResources": TEXT,
                "jobId": TEXT,
                "managedBy": TEXT,
                "metadata": MAPPING,
                "preRunningDeadlineSeconds": WHOLE,
                "rayClusterSpec": CLUSTER,
                "runtimeEnvYAML": TEXT,
                "shutdownAfterJobFinishes": FLAG,
                "submissionMode": TEXT,
                "submitterConfig": MAPPING,
                "submitterPodTemplate": MAPPING,
                "suspend": FLAG,
                "ttlSecondsAfterFinished": WHOLE,
            }
        ),
    },
    others=True,
)
OTHER: Final = _of({"metadata": MAPPING, "spec": MAPPING}, others=True)
"""What else may be in the file, such as a claim."""
