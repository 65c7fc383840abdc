"""Hyperparameter search for intracranial hemorrhage detection on head CT.

The public Python API. Each name is imported on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.results import RankedResults
    from ichtune.api import explain, search
    from ichtune.data.prepare import prepare
    from ichtune.data.store import SliceStore
    from ichtune.space import Space

__all__ = ["RankedResults", "SliceStore", "Space", "explain", "prepare", "search"]

_HOMES = {
    "RankedResults": "analysis.results",
    "SliceStore": "ichtune.data.store",
    "Space": "ichtune.space",
    "explain": "ichtune.api",
    "prepare": "ichtune.data.prepare",
    "search": "ichtune.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ichtune' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
