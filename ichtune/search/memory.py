"""The memory that the trainings of a trial take together, estimated before anything is computed."""

import os

import psutil

from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.recipe import Head, Recipe
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space
from ichtune.training.experiment import units_of

BYTES_TRAINED = 16
"""Of a trained parameter in float32: its value, its gradient, and Adam's two moments."""
BYTES_KEPT = 4
"""Of a head's parameter after the best epoch so far."""
INPUTS_HELD = 6
"""Times that a step holds its features: as read, normalised, dropped out, their masks, and gradients."""
HIDDEN_HELD = 16
"""Times that it holds the outputs of a head's layers: their gates, or attention's queries, keys, values and so on."""
MOST_BYTES = 8 * 2**30
"""The most memory for the trainings of one trial with repeats."""


def refuse_without_memory(
    store: SliceStore, space: Space, settings: SearchSettings, validation: CrossValidation
) -> None:
    """Build each backbone that is trained, and refuse repeats that would take too much memory.

    Heads on a frozen backbone train side by side; of trained backbones, a trial holds one for each fold of each round.

    Raises:
        InputError: a backbone can't be built, or too many trainings would be held in memory at once.
    """
    most = _most_bytes(settings) if validation.rounds > 1 else None
    for model, precision in space.models():
        frozen = model.train == "frozen"
        if frozen and validation.rounds == 1:
            continue  # it is built when the feature bank is planned
        backbone = build_backbone(model, seed=settings.seed, precision=precision)
        size = 0 if frozen else BYTES_TRAINED * sum(parameter.numel() for parameter in backbone.parameters())
        head = max(space.extreme_heads(), key=lambda head: _head_bytes(head, backbone.width, store, space))
        needed = validation.trainings * (size + _head_bytes(head, backbone.width, store, space))
        if most is not None and needed > most:
            what = f"{head.name} heads" if frozen else f"{model.backbone} (model.train: {model.train})"
            mend = "or a smaller head" if frozen else "or --set model.train=frozen"
            raise InputError(
                f"{_asked(validation)}: a trial would hold {validation.trainings:,} {what} in memory, about "
                f"{needed / 2**30:,.1f} GiB; at most {most / 2**30:.1f} GiB are accepted, so use fewer repeats or "
                f"--folds, {mend}"
            )


def _asked(validation: CrossValidation) -> str:
    flags = {"--repeats": validation.seeds, "--repeats-cv": validation.partitions}
    return " ".join(f"{flag} {count}" for flag, count in flags.items() if count > 1)


def _most_bytes(settings: SearchSettings) -> int:
    """Return what a trial may take: its share of this machine, and no more than `MOST_BYTES`.

    The machines of a cluster are not known before it is joined.
    """
    if settings.address:
        return MOST_BYTES
    by_cores = int((os.cpu_count() or 1) / settings.cpus_per_trial)
    at_once = max(1, min(by_cores, settings.max_concurrent or by_cores, settings.trials))
    return min(MOST_BYTES, psutil.virtual_memory().total // at_once)


def _head_bytes(head: Head, width: int, store: SliceStore, space: Space) -> int:
    """Return about how many bytes one head on `width` features takes in a step of its training."""
    parameters = sum(
        parameter.numel() for parameter in make_heads(Recipe(head=head), width, [0]).parameters()
    )
    rows = max(space.largest_batch, units_of(store, head).largest)
    hidden = getattr(head, "hidden", 0) * getattr(head, "layers", 1)
    values = rows * (INPUTS_HELD * width + HIDDEN_HELD * hidden)
    return (BYTES_TRAINED + BYTES_KEPT) * parameters + 4 * values
