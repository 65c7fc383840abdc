"""Hyperparameter search for intracranial hemorrhage detection on head CT.

The public Python API. Each name is imported on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.results import RankedResults
    from ichtune.api import evaluate, explain, finetune, predict, score, search
    from ichtune.data.prepare import prepare
    from ichtune.data.store import SliceStore
    from ichtune.inference.export.export import export
    from ichtune.space import Space

__all__ = [
    "RankedResults",
    "SliceStore",
    "Space",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "predict",
    "prepare",
    "score",
    "search",
]

_HOMES = {
    "RankedResults": "analysis.results",
    "SliceStore": "ichtune.data.store",
    "Space": "ichtune.space",
    "evaluate": "ichtune.api",
    "finetune": "ichtune.api",
    "export": "ichtune.inference.export.export",
    "predict": "ichtune.api",
    "explain": "ichtune.api",
    "prepare": "ichtune.data.prepare",
    "score": "ichtune.api",
    "search": "ichtune.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ichtune' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
