"""Where a part of the feature bank is: in its store, in the user's cache if that is read-only, or where requested."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from ichtune.bank.part import FEATURES, BankKey
from ichtune.data.store import SliceStore
from ichtune.remote import is_uri


def bank_place(store: SliceStore, key: BankKey, requested: str | Path | None = None) -> Path:
    """Return the parent of the folder of the part with this key.

    The default is `STORE/bank`, if it is writable or already has the features. A store at a URI has its
    bank apart from the copy, which may be deleted. Elsewhere each store has a folder named
    by its fingerprint.
    """
    if requested:
        return Path(requested) / store.fingerprint
    inside = store.path / "bank"
    if not is_uri(store.place) and ((inside / key.digest / FEATURES).is_file() or _is_writable(inside)):
        return inside
    return user_cache_path("ichtune") / "bank" / store.fingerprint


def _is_writable(folder: Path) -> bool:
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)
