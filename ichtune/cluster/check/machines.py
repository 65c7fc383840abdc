"""Names of regions and machine types, by the lists that cloud clients ship where they are installed."""

import re
from functools import cache

from ichtune.wording import did_you_mean, shown

FORMS = {
    ("aws", "region"): r"[a-z]{2}(-[a-z]+)+-\d",
    ("aws", "machine"): r"[a-z][a-z0-9-]*\.[a-z0-9-]+",
    ("gcp", "region"): r"[a-z]+-[a-z]+\d+",
    ("gcp", "machine"): r"[a-z][a-z0-9]*-[a-z0-9-]+",
}


def why_unknown(provider: str, kind: str, name: object) -> str | None:
    """Why a provider has no such `region` or `machine`, in words; None if it may have it."""
    if not isinstance(name, str) or not re.fullmatch(FORMS[provider, kind], name):
        return f"{shown(name)} is not the name of a {kind}"
    known = _known_to_aws(kind) if provider == "aws" else frozenset()
    if known and name not in known:
        return f"AWS has no {kind} {name!r}{did_you_mean(name, known)}"
    return None


@cache
def _known_to_aws(kind: str) -> frozenset[str]:
    """What the installed botocore knows, without asking AWS; empty without it."""
    try:
        from botocore.session import get_session
    except ImportError:
        return frozenset()
    session = get_session()
    if kind == "region":
        return frozenset(
            region
            for partition in session.get_available_partitions()
            for region in session.get_available_regions("ec2", partition_name=partition)
        )
    return frozenset(session.get_service_model("ec2").shape_for("InstanceType").enum)
