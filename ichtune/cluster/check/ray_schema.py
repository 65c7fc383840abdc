"""The shape of a file for `ray up`: Ray's own schema, and what Ray stumbles over without naming it."""

import json
from pathlib import Path
from typing import Any, Final

from ichtune.cluster.check.aws_schema import node_config_schema

TEXT: Final = {"type": "string"}
TEXTS: Final = {"type": "array", "items": TEXT}
COUNT: Final = {"type": "integer", "minimum": 0}


def ray_schema(provider: object) -> dict[str, Any]:
    """Return the JSON schema of the installed Ray, with the types that it leaves to the provider or to nobody."""
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    known = schema["properties"]
    known["min_workers"] = (
        COUNT  # which Ray takes from files of earlier versions, and from those of own machines
    )
    known["file_mounts"]["additionalProperties"] = TEXT
    for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter"):
        known[key] = TEXTS
    known["provider"]["properties"]["worker_ips"] = TEXTS
    (node_type,) = known["available_node_types"]["patternProperties"].values()
    node_type["properties"] |= {"min_workers": COUNT, "max_workers": COUNT}
    if provider == "aws":
        node_type["properties"]["node_config"] = node_config_schema()
    return schema
