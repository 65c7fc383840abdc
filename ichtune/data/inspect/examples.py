"""A picture of a store: example slices in the brain window, with a column per label and one for none."""

import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ichtune.data.store import SliceStore
from ichtune.files import replacing
from ichtune.labels import ANY, LABELS, SUBTYPES
from ichtune.windows import WINDOWS, apply_window

NONE = "none"


def picture_place(store: Path) -> Path:
    """Return the path for a store's picture: in the store, or in the current folder if the store is read-only."""
    if os.access(store, os.W_OK):
        return store / "inspect.png"
    return Path.cwd() / f"{store.absolute().name}-inspect.png"


def draw_examples(store: SliceStore, path: Path, *, rows: int = 4, seed: int = 0) -> None:
    """Write a PNG with up to `rows` slices of each label, from as many patients as possible."""
    chosen = {name: _examples(store, name, rows, seed) for name in (*SUBTYPES, ANY, NONE)}
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=(1.75 * len(chosen), 1.95 * rows + 0.5), dpi=110, facecolor="white")
        grid = figure.subplots(rows, len(chosen), squeeze=False)
        for column, (name, found) in enumerate(chosen.items()):
            _draw_column(store, grid[:, column], name, found)
        figure.suptitle(f"{store.path.name}: {len(store):,} slices, brain window (center 40, width 80 HU)")
        figure.tight_layout(pad=0.4, rect=(0, 0, 1, 0.985))
        with replacing(path) as file:
            figure.savefig(file, format=path.suffix.lstrip(".") or "png")


def _examples(store: SliceStore, name: str, count: int, seed: int) -> np.ndarray:
    """Return rows of slices with this label, from different patients if possible, those with only this label first."""
    labels = np.nan_to_num(store.labels)
    positive = labels[:, LABELS.index(ANY)] == 0 if name == NONE else labels[:, LABELS.index(name)] == 1
    rows = np.flatnonzero(positive)
    shuffled = np.random.default_rng([seed, (*LABELS, NONE).index(name)]).permutation(rows)
    kinds = labels[:, : len(SUBTYPES)].sum(axis=1)
    shuffled = shuffled[np.argsort(kinds[shuffled], kind="stable")]
    if name == NONE:  # the middle of the head shows more than the top
        shuffled = shuffled[np.argsort(-_brain_share(store, shuffled[: 8 * count]), kind="stable")]
    seen: dict[object, int] = {}
    turn = [seen[p] for p in store.patients[shuffled] if seen.update({p: seen.get(p, -1) + 1}) is None]
    return shuffled[np.argsort(turn, kind="stable")][:count]


def _brain_share(store: SliceStore, rows: np.ndarray) -> np.ndarray:
    """Return the share of each slice's pixels with HU of brain."""
    return np.array([np.mean((store.hu[row] > 15) & (store.hu[row] < 60)) for row in rows])


def _draw_column(store: SliceStore, axes: np.ndarray, name: str, rows: np.ndarray) -> None:
    for axis in axes:
        axis.set_axis_off()
    axes[0].set_title(name)
    if not len(rows):
        axes[0].text(0.5, 0.5, "no slice", ha="center", va="center", color="0.4")
    for axis, row in zip(axes, rows, strict=False):
        axis.imshow(apply_window(store.hu[row], WINDOWS["brain"]), cmap="gray", vmin=0, vmax=1)
