"""The bank by network: how many images each frozen network sees, and what its features take of disk and time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ichtune.bank.part import BankPart, is_finished
from ichtune.recipe import Model, Precision
from ichtune.windows import WINDOWS, Window
from ichtune.wording import disk_size, duration, plain, plural

Network = tuple[Model, Precision]
"""A frozen network for images of some size and channels, and the precision in which it computes."""
BYTES = 2
"""A feature is a float16."""


def by_network(parts: Iterable[BankPart]) -> dict[Network, list[BankPart]]:
    """Return the parts of each network: its levels and views."""
    found: dict[Network, list[BankPart]] = {}
    for part in parts:
        found.setdefault((part.model, part.key.precision), []).append(part)
    return found


def lines(parts: Sequence[BankPart], seconds: Mapping[Network, float]) -> list[str]:
    """Return what the bank takes, in words: in all, and if there are several networks, a line for each.

    `seconds` are those that a network's missing features are estimated to take, as far as known.
    """
    if not parts:
        return []
    networks = by_network(parts)
    total = sum(seconds.values()) if seconds.keys() >= _unfinished(networks) else None
    folders = ", ".join(dict.fromkeys(str(part.bank) for part in parts))
    whole = f"{_extent(parts, total)}, in {folders}"
    if len(networks) == 1:
        return [whole]
    names = _names(list(networks))
    each = (_extent(own, seconds.get(network)) for network, own in networks.items())
    return [whole, *(f"{name}: {extent}" for name, extent in zip(names, each, strict=True))]


def _unfinished(networks: Mapping[Network, Sequence[BankPart]]) -> set[Network]:
    return {network for network, parts in networks.items() if not all(map(is_finished, parts))}


def _extent(parts: Sequence[BankPart], seconds: float | None) -> str:
    """Return `9,010 images, 12 MiB, 4,505 still to compute in about 40 s`."""
    images, missing = (sum(part.count for part in which) for which in (parts, _missing(parts)))
    size = disk_size(sum(part.count * part.width for part in parts) * BYTES)
    time = f" in about {duration(seconds)}" if seconds is not None and seconds >= 1 else ""
    left = f"{missing:,} still to compute{time}" if missing else "all computed"
    return f"{plural(images, 'image', 'images')}, {size}, {left}"


def _missing(parts: Iterable[BankPart]) -> list[BankPart]:
    return [part for part in parts if not is_finished(part)]


def _names(networks: Sequence[Network]) -> list[str]:
    """Return each network's backbone, and its other settings as far as these differ among them."""
    settings = [{**model.model_dump(), "precision": precision} for model, precision in networks]
    differ = [key for key in settings[0] if len({str(each[key]) for each in settings}) > 1]
    return [_name(each, [key for key in differ if key != "backbone"]) for each in settings]


def _name(settings: Mapping[str, Any], differ: Iterable[str]) -> str:
    return ", ".join(
        [settings["backbone"], *(_setting(key, settings[key]) for key in differ if settings[key])]
    )


def _setting(key: str, value: Any) -> str:
    match key:
        case "size":
            return f"{value} pixels"
        case "windows":
            names = {window: name for name, window in WINDOWS.items()}
            return " and ".join(names.get(Window.parse(text), text) for text in value)
        case "neighbours":
            return f"{plural(value, 'neighbour', 'neighbours')} on each side"
        case _:
            return f"{key} {plain(value)}"
