"""The engines by name: what is known of each before it is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from ichtune.errors import InputError
from ichtune.recipe import Precision
from ichtune.wording import not_one_of

AUTO: Final = "auto"
TORCH: Final = "torch"


@dataclass(frozen=True)
class Kind:
    packages: tuple[str, ...] = ()
    """What the engine needs besides torch. The first computes the features, so a bank's key has its version."""
    precisions: tuple[Precision, ...] = ("bfloat16", "float32")
    """What it computes in."""


ENGINES: Final[Mapping[str, Kind]] = {
    TORCH: Kind(),
    "openvino": Kind(("openvino",)),
    "onnxruntime": Kind(("onnxruntime", "onnx", "onnxscript"), ("float32",)),
}


def is_installed(name: str) -> bool:
    """Whether the packages of an engine are installed here."""
    return all(find_spec(package) for package in ENGINES[name].packages)


def require(name: str) -> None:
    """Refuse an engine that doesn't exist, or isn't installed here.

    Raises:
        InputError: it can't be used.
    """
    if name not in ENGINES:
        raise InputError(f"--engine: {not_one_of(name, [AUTO, *ENGINES])}")
    if not is_installed(name):
        raise InputError(
            f"--engine: {name} is not installed here: pip install {' '.join(ENGINES[name].packages)} on every machine "
            "that computes features, or use another engine"
        )
