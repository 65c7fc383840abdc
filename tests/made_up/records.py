"""Records of epochs, requests of searches and new runs that no search has made."""

from pathlib import Path
from typing import Any

from ichtune.runs.folder import RunFolder
from ichtune.runs.records import EpochRecord
from ichtune.runs.request import SearchRequest
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space


def epoch(number: int, mean: dict[str, float] | None = None, **more: Any) -> EpochRecord:
    """An epoch's record with these means; all else is that of two folds of nothing in particular."""
    mean = mean or {}
    plain: dict[str, Any] = {
        "diverged": False,
        "std": dict.fromkeys(mean, 0.0),
        "folds": {name: [value, value] for name, value in mean.items()},
        "lr": [0.001] * 2,
        "mean_lr": [0.001] * 2,
        "class_mix": [[0.1] * 6] * 2,
        "grad_norm": [1.0] * 2,
        "trained_parameters": 3078,
        "seconds": 0.01,
    }
    return EpochRecord(**{"epoch": number, "mean": mean} | plain | more)


def request(space: Space | None = None, **settings: Any) -> SearchRequest:
    """What a search of this space was asked for, on a store that is nowhere."""
    asked = SearchSettings(**{"engine": "torch", **settings})
    return SearchRequest(
        Path("/nowhere"), "fingerprint", asked.folds, space or Space.parse({}, "plain"), asked, {}
    )


def new_run(place: str | Path, request: SearchRequest) -> RunFolder:
    """A run that holds what was asked for and no trial yet, made as a search makes it."""
    run = RunFolder.at(place)
    run.refuse_if_taken()
    run.make()
    run.write(request)
    return run
