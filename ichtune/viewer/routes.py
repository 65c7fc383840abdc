"""The addresses of the viewer, and what is answered at each."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ichtune.viewer.described import model_facts, study_facts
from ichtune.viewer.session import Gone, Session

Answer = np.ndarray | dict[str, Any] | list[Any] | None
"""An array is sent as its bytes, anything else as JSON."""


@dataclass(frozen=True)
class Asked:
    """A request that may be answered."""

    session: Session
    model: str
    """The model's name, to be shown."""
    file: str = ""
    body: bytes = b""


def answer(method: str, path: str, asked: Asked) -> Answer:
    """Answer a request; the numbers in the address become arguments.

    Raises:
        Gone: the address is unknown, or of something that is no longer open.
        TooLarge: the study that is arriving would become larger than allowed.
    """
    for pattern, handle in _ROUTES[method].items():
        if found := re.fullmatch(pattern, path):
            return handle(asked, *map(int, found.groups()))
    raise Gone("there is nothing at this address")


def _model(asked: Asked) -> Answer:
    return model_facts(asked.model, asked.session.model, asked.session.most)


def _opened(asked: Asked) -> Answer:
    opened = asked.session.opened
    return None if opened is None else study_facts(opened)


def _probabilities(asked: Asked, study: int, series: int) -> Answer:
    return asked.session.study(study).probabilities(series).tolist()


def _pixels(asked: Asked, study: int, series: int, place: int) -> Answer:
    return asked.session.study(study).pixels(series, place).astype("<i2", copy=False)


def _map(asked: Asked, study: int, series: int, place: int, label: int) -> Answer:
    return asked.session.study(study).map(series, place, label)


def _begin(asked: Asked) -> Answer:
    return {"number": asked.session.begin()}


def _add(asked: Asked, study: int) -> Answer:
    return {"reason": asked.session.add(study, asked.file, asked.body)}


def _open(asked: Asked, study: int) -> Answer:
    opened = asked.session.open(study)
    return None if opened is None else study_facts(opened)


_NUMBER: Final = r"(\d{1,9})"
_SERIES: Final = rf"/api/studies/{_NUMBER}/series/{_NUMBER}"
_ROUTES: Final[dict[str, dict[str, Callable[..., Answer]]]] = {
    "GET": {
        "/api/model": _model,
        "/api/study": _opened,
        f"{_SERIES}/probabilities": _probabilities,
        f"{_SERIES}/slices/{_NUMBER}/pixels": _pixels,
        f"{_SERIES}/slices/{_NUMBER}/maps/{_NUMBER}": _map,
    },
    "POST": {
        "/api/studies": _begin,
        f"/api/studies/{_NUMBER}/files": _add,
        f"/api/studies/{_NUMBER}/open": _open,
    },
}
