"""The shape of `node_config` on AWS: what EC2 takes to start a machine, as the installed botocore knows it."""

from functools import cache
from typing import Any, Final

TYPES: Final = {"float": "number", "double": "number", "long": "integer"}
"""JSON's names of botocore's types, where they differ."""
MOST_NAMES: Final = 50
"""A longer list of names helps nobody; types of machines are checked apart."""


@cache
def node_config_schema() -> dict[str, Any]:
    """Return the JSON schema of the parameters of EC2's RunInstances; that of any mapping without botocore."""
    try:
        from botocore.session import get_session
    except ImportError:
        return {"type": "object"}
    ec2 = get_session().get_service_model("ec2")
    schema = _schema(ec2.operation_model("RunInstances").input_shape)
    schema["properties"]["SubnetIds"] = {
        "type": "array",
        "items": {"type": "string"},
    }  # Ray takes one of them
    return schema


def _schema(shape: Any) -> dict[str, Any]:
    if shape.type_name == "structure":
        fields = {name: _schema(member) for name, member in shape.members.items()}
        return {"type": "object", "properties": fields, "additionalProperties": False}
    if shape.type_name == "list":
        return {"type": "array", "items": _schema(shape.member)}
    if shape.type_name in ("timestamp", "blob", "map"):
        return {}
    names = getattr(shape, "enum", [])
    return {"type": TYPES.get(shape.type_name, shape.type_name)} | (
        {"enum": list(names)} if 0 < len(names) <= MOST_NAMES else {}
    )
