"""Checks of a file for `ray up`: Ray's own validation, and what it lets through."""

import copy
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from jsonschema import ValidationError

from ichtune.cluster.check.machines import why_unknown
from ichtune.cluster.check.ray_schema import ray_schema
from ichtune.cluster.check.shape import findings_of, misshapen
from ichtune.cluster.check.written import Document, Finding, at, items
from ichtune.wording import not_one_of

PROVIDERS = ("aws", "gcp", "local")
MACHINE_KEYS = {"aws": "InstanceType", "gcp": "machineType"}
START = {kind: f"{kind}_start_ray_commands" for kind in ("head", "worker")}
SETUP = ("initialization_commands", "setup_commands")
SHARED = re.compile(r"\b(mount|mountpoint|mount\.\w+|gcsfuse|s3fs)\b")


def check_ray_file(file: Document) -> list[Finding]:
    """Return what is wrong with a cluster file."""
    provider = at(file.value, "provider", "type")
    if found := misshapen(file, ray_schema(provider)):
        return found
    if provider not in PROVIDERS:
        what = f"provider.type: {not_one_of(provider, PROVIDERS)}"
        return [Finding(file.line("provider", "type"), what, "other providers can't be checked")]
    own = (
        [] if provider == "local" else [*_place(file, provider), *_node_types(file, provider), *_growth(file)]
    )
    complete, invalid = _completed(file)
    if invalid:
        return own or invalid
    found = [*_starts(file, complete), *_tokens(file, complete), *_storage(file, complete)]
    return [*own, *found, *(_own_machines(file, complete) if provider == "local" else ())]


def _completed(file: Document) -> tuple[dict[str, Any], list[Finding]]:
    """The file with what Ray fills in, or what Ray has against it."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    logging.getLogger("ray.autoscaler._private.util").setLevel(logging.WARNING)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # it remarks on every mounted file
            complete = prepare_config(copy.deepcopy(file.value))
            validate_config(complete)
    except ValidationError as error:
        return {}, [*findings_of(file, error)]
    except Exception as error:  # Ray's code raises whatever the file makes it stumble over
        what = f"Ray can't read this: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        return {}, [Finding(file.line("provider"), what, "compare with the files in deploy/")]
    return complete, []


def _place(file: Document, provider: str) -> Iterator[Finding]:
    region = at(file.value, "provider", "region")
    if region is None:
        yield Finding(
            file.line("provider"), "provider: has no region", "add `region:`, else Ray takes its own"
        )
    elif why := why_unknown(provider, "region", region):
        yield Finding(
            file.line("provider", "region"), f"provider.region: {why}", "name a region of the provider"
        )
    if provider == "gcp":
        for key in ("project_id", "availability_zone"):
            if not at(file.value, "provider", key):
                yield Finding(file.line("provider"), f"provider: has no {key}", f"add `{key}:`")


def _node_types(file: Document, provider: str) -> Iterator[Finding]:
    types = at(file.value, "available_node_types")
    if not types:
        mend = "add them with their machines and resources, else Ray takes its own, without GPUs"
        yield Finding(file.line(), "has no available_node_types", mend)
        return
    head = at(file.value, "head_node_type")
    if head not in types:
        yield Finding(
            file.line("head_node_type"),
            f"head_node_type: {not_one_of(head, types)}",
            "name the type of the head",
        )
    key = MACHINE_KEYS[provider]
    for name in types:
        place = ("available_node_types", name)
        machine = at(file.value, *place, "node_config", key)
        where = f"{'.'.join(place)}.node_config"
        if machine is None:
            yield Finding(file.line(*place, "node_config"), f"{where}: has no {key}", "name the machine")
        elif why := why_unknown(provider, "machine", machine):
            line = file.line(*place, "node_config", key)
            yield Finding(line, f"{where}.{key}: {why}", "name a machine of the provider")
        missing = [kind for kind in ("CPU", "GPU") if at(file.value, *place, "resources", kind) is None]
        if missing:
            yield Finding(
                file.line(*place, "resources"),
                f"{'.'.join(place)}.resources: has no {' and no '.join(missing)}",
                "state both, e.g. `{CPU: 4, GPU: 1}`, else the autoscaler may not start what trials need",
            )


def _growth(file: Document) -> Iterator[Finding]:
    types = at(file.value, "available_node_types") or {}
    least = {name: at(each, "min_workers") or 0 for name, each in types.items()}
    most = at(file.value, "max_workers")
    if most is not None and sum(least.values()) > most:
        what = f"max_workers: {most} is below the sum of min_workers of all node types, {sum(least.values())}"
        yield Finding(file.line("max_workers"), what, "raise it, or lower those")
    for name, each in types.items():
        own = at(each, "max_workers")
        if own is not None and least[name] > own:
            what = f"available_node_types.{name}: min_workers {least[name]} is above max_workers {own}"
            yield Finding(file.line("available_node_types", name, "min_workers"), what, "lower it")


def _own_machines(file: Document, complete: dict[str, Any]) -> Iterator[Finding]:
    if not at(file.value, "provider", "worker_ips"):
        line = file.line("provider", "worker_ips")
        yield Finding(line, "provider: has no worker_ips", "list the machines besides the head")
    if not any("RAY_enable_autoscaler_v2=0" in text for text in _commands(complete, START["head"])):
        yield Finding(
            file.line(START["head"]),
            f"{START['head']}: Ray's newer autoscaler never starts the workers of the `local` provider",
            "set RAY_enable_autoscaler_v2=0 before `ray start`",
        )


def _starts(file: Document, complete: dict[str, Any]) -> Iterator[Finding]:
    starts = {kind: _start(complete, kind) for kind in START}
    for kind, command in starts.items():
        if not command:
            yield Finding(file.line(START[kind]), f"{START[kind]}: has no `ray start`", "add it")
    head, worker = starts["head"], starts["worker"]
    line = file.line(START["head"], _index(complete, "head"))
    if head and "--head" not in head.split():
        yield Finding(line, f"{START['head']}: `ray start` lacks --head", "add it")
    if head and "--autoscaling-config" not in head:
        mend = "add --autoscaling-config=~/ray_bootstrap_config.yaml, or no worker ever starts"
        yield Finding(line, f"{START['head']}: `ray start` lacks --autoscaling-config", mend)
    host = re.search(r"--dashboard-host[= ](\S+)", head)
    if host and host[1] not in ("127.0.0.1", "localhost", "::1"):
        filled = "" if START["head"] in file.value else " (Ray's default for this provider)"
        yield Finding(
            line,
            f"{START['head']}: the dashboard, which runs any code sent to it, listens on {host[1]}{filled}",
            "use --dashboard-host=127.0.0.1, and open it through a tunnel with `ray dashboard`",
        )
    ports = [
        re.search(pattern, text)
        for pattern, text in ((r"--port[= ](\d+)", head), (r"--address[= ]\S+:(\d+)", worker))
    ]
    if all(ports) and ports[0][1] != ports[1][1]:  # ty: ignore[not-subscriptable]
        yield Finding(
            file.line(START["worker"], _index(complete, "worker")),
            f"{START['worker']}: joins port {ports[1][1]}, but the head listens on {ports[0][1]}",  # ty: ignore[not-subscriptable]
            "use one port",
        )


def _tokens(file: Document, complete: dict[str, Any]) -> Iterator[Finding]:
    for kind in START:
        if _start(complete, kind) and "RAY_AUTH_MODE=token" not in _start(complete, kind):
            yield Finding(
                file.line(START[kind], _index(complete, kind)),
                f"{START[kind]}: this Ray runs the code of everyone who reaches its ports",
                "put `export RAY_AUTH_MODE=token;` before `ray start`",
            )
    for kind in START:
        commands = [
            text
            for key in (*SETUP, f"{kind}_setup_commands", START[kind])
            for text in _commands(complete, key)
        ]
        mounted = [str(path) for path in at(complete, "file_mounts") or {}]
        if not any(
            "auth_token" in text or "get-auth-token" in text or "RAY_AUTH_TOKEN" in text
            for text in [*commands, *mounted]
        ):
            mend = (
                "make one with `ray get-auth-token --generate`"
                if kind == "head"
                else "copy the head's to ~/.ray/auth_token (mode 600)"
            )
            key = f"{kind}_setup_commands"
            yield Finding(file.line(key), f"{key}: no command gives this machine a token", mend)


def _storage(file: Document, complete: dict[str, Any]) -> Iterator[Finding]:
    commands = [text for key in (*SETUP, "worker_setup_commands") for text in _commands(complete, key)]
    if not any(SHARED.search(text) for text in commands):
        yield Finding(
            file.line("worker_setup_commands"),
            "worker_setup_commands: no command mounts a folder that all machines share",
            "mount one (NFS, EFS, Filestore) on every machine, for stores and runs",
        )


def _commands(config: dict[str, Any], key: str) -> list[str]:
    return [text for text in items(config.get(key)) if isinstance(text, str)]


def _index(config: dict[str, Any], kind: str) -> int:
    """The place of `ray start` among the commands of a kind of machine."""
    commands = _commands(config, START[kind])
    return next((index for index, text in enumerate(commands) if re.search(r"\bray start\b", text)), 0)


def _start(config: dict[str, Any], kind: str) -> str:
    return next((text for text in _commands(config, START[kind]) if re.search(r"\bray start\b", text)), "")
