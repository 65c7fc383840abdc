"""What a store is, in words."""

from ichtune.data.store import SliceStore, StoreInfo


def store_facts(store: SliceStore) -> dict[str, str]:
    """What a store is, where it came from and how it was split, as texts by name."""
    info = store.info
    window = (
        f"{info.window[0]:g}/{info.window[1]:g} HU (centre/width) undone"
        if info.window
        else "none: Hounsfield units"
    )
    return {
        "store": store.path.name,
        "source format": info.format,
        **({"sources": ", ".join(info.sources)} if info.sources else {}),
        "slices": f"{info.slices:,} of {info.patients:,} patients",
        "rejected": f"{info.rejected:,} (see rejected.csv in the store for the reasons)"
        if info.rejected
        else "none",
        "stored size": f"{info.size} × {info.size} pixels",
        "window of the source": window,
        "test set": _test_set(info),
        "folds": f"{info.folds}, each a whole source: {', '.join(info.sources)}"
        if info.folds_by_source
        else f"{info.folds}, by patient, stratified on the labels",
        "random seed of the splits": str(info.seed),
        "patients": "identified" if info.patients_known else "not all identified in the source",
        "identifiers": "replaced by salted hashes" if info.hashed_ids else "as in the source",
        "fingerprint": store.fingerprint,
    }


def _test_set(info: StoreInfo) -> str:
    if info.keeps_given_split:
        return "as given by the source"
    return (
        f"{info.test_fraction:.0%} of the slices requested, by whole patients"
        if info.test_fraction
        else "none"
    )
