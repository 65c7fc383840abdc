"""The plan of a search: everything is checked, and nothing has been written or computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from ichtune.bank.networks import Network
from ichtune.bank.part import BankPart, is_finished
from ichtune.cross_validation import CrossValidation
from ichtune.data.labels_of_scans import refuse_labels_of_scans
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.metrics import is_defined
from ichtune.models.first_layer import in_words
from ichtune.recipe import Model
from ichtune.remote import absolute, below
from ichtune.runs.folder import RunFolder
from ichtune.runs.promoted import Promotion
from ichtune.runs.request import SearchRequest
from ichtune.runs.settings import SearchSettings
from ichtune.search.bank import bank_folder, bank_parts, decide_engine
from ichtune.search.memory import refuse_without_memory
from ichtune.search.proposals import make_sampler
from ichtune.space import Space
from ichtune.tracking.trackers import checked, resolved
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, folds_of, scans_of, units_of
from ichtune.wording import plural

LONGEST_NAME = 255
FALLBACK = "weighted_log_loss"
"""A metric that is defined even if no label has both positives and negatives."""


@dataclass(frozen=True)
class Plan:
    """A fully checked search, before anything is written or computed."""

    store: SliceStore
    space: Space
    settings: SearchSettings
    parts: tuple[BankPart, ...]
    why_engine: str
    """Why the settings' engine computes the bank, in words."""
    bank_seconds: Mapping[Network, float] = field(default_factory=dict)
    """How long each network's part of the bank would take here, where a short trial was made."""
    resumed: bool = False
    promotion: Promotion | None = None
    """What a new run promotes from an earlier one."""

    @property
    def validation(self) -> CrossValidation:
        """On which folds each trial is scored."""
        return _validation(self.store, self.settings)

    @property
    def experiment(self) -> Experiment:
        """What its trials share."""
        return Experiment(self.store.place, self.parts, self.validation, self.settings.seed)

    @property
    def run(self) -> str:
        """The run's folder, as a path or URI."""
        return below(self.settings.runs, str(self.settings.name))

    @property
    def inputs(self) -> str:
        """What networks see besides the windows of a single slice in the store's size, in words; else empty."""
        models = [variant.model for variant in self.space.models()]
        return "; ".join(filter(None, (in_words(models), self._stand_ins(models), self._enlarged(models))))

    def _stand_ins(self, models: Sequence[Model]) -> str:
        alone = int(np.isnan(self.store.scans.places).sum())
        if not alone or not any(model.neighbours for model in models):
            return ""
        stand_in = plural(alone, "slice without a position stands in", "slices without a position stand in")
        return f"{stand_in} for neighbours"

    def _enlarged(self, models: Sequence[Model]) -> str:
        own = self.store.info.size
        sizes = sorted({model.size for model in models if model.size > own})
        larger = " and ".join(map(str, sizes))
        return f"slices of {own} pixels, enlarged to {larger} without more detail" if sizes else ""

    @property
    def scans(self) -> str:
        """What a head that reads scans will read, in words; empty if no trial has such a head."""
        return str(scans_of(self.store)) if any(head.reads_scans for head in self.space.heads()) else ""

    @property
    def request(self) -> SearchRequest:
        """The request that the run will store."""
        return SearchRequest.now(self.store, self.space, self.settings)

    @property
    def missing_rows(self) -> int:
        """How many slice views the feature bank still lacks."""
        return sum(part.count for part in self.parts if not is_finished(part))


def plan(
    data: str | Path, space: Space, settings: SearchSettings, promotion: Promotion | None = None
) -> Plan:
    """Check a search request and return its plan; with `promotion`, its trials start from an earlier run's heads.

    Raises:
        InputError: the store, space, metric, backbone, a setting or a tracker can't be used, or the run name is
            taken.
    """
    store = SliceStore.open(absolute(data))
    validation = _validation(store, settings)
    refuse_labels_of_scans(store)
    _refuse_undefined(space.metric, store, folds_of(store, validation))
    _refuse_neighbours(space, store)
    for head in space.heads():
        units_of(store, head)  # refuses a head that reads scans if the store has none
    name = settings.name or f"{space.name}-{datetime.now():%Y%m%d-%H%M%S}"
    if Path(name).name != name or name in (".", ".."):
        raise InputError(f"--name: {name!r} must be a plain folder name, without a path")
    if len(name.encode()) > LONGEST_NAME:
        raise InputError(
            f"--name: must be at most {LONGEST_NAME} bytes long, the limit of file systems, got {len(name.encode())}"
        )
    refuse_without_memory(store, space, settings, validation)
    settings = replace(
        settings,
        name=name,
        folds=validation.folds,
        trials=_trials(space, settings),
        bank=bank_folder(settings),
    )
    make_sampler(settings.sampler, settings.seed, space)
    run = RunFolder.at(below(settings.runs, name))
    run.refuse_if_taken()
    settings = replace(settings, log=resolved(checked(settings.log, run)))
    decided = decide_engine(store, space, settings)
    return Plan(
        store,
        decided.space,
        decided.settings,
        decided.parts,
        decided.why,
        bank_seconds=decided.seconds,
        promotion=promotion,
    )


def _validation(store: SliceStore, settings: SearchSettings) -> CrossValidation:
    folds = store.info.folds if settings.folds is None else settings.folds
    return CrossValidation(folds, settings.repeats_cv, settings.repeats)


def _refuse_neighbours(space: Space, store: SliceStore) -> None:
    """Refuse a model that reads neighbouring slices if no slice has any."""
    reads = any(variant.model.neighbours for variant in space.models())
    if reads and np.isnan(store.scans.places).all():
        raise InputError(
            f"model.neighbours: {store.path} has no two slices with a position in one scan, so no slice has "
            "neighbours; use --set model.neighbours=0, or prepare the store from files or tables with positions"
        )


def _refuse_undefined(metric: str, store: SliceStore, folds: Sequence[Fold]) -> None:
    if any(is_defined(metric, store.labels[fold.valid]) for fold in folds):
        return
    if is_defined(FALLBACK, np.concatenate([store.labels[fold.valid] for fold in folds])):
        raise InputError(
            f"{store.path}: {metric} is undefined on every fold that trials are scored on ({len(folds)} of "
            f"{store.info.folds}), as no fold's validation part has both a slice with and one without any hemorrhage; "
            f"search by another metric (--set metric={FALLBACK}), on more --folds, or on a store with both"
        )
    raise InputError(
        f"{store.path}: no slice of the folds that trials are scored on ({len(folds)} of {store.info.folds}) has a "
        "known label, so there is nothing to optimize; prepare the store with a table that labels them"
    )


def plan_again(store: SliceStore, space: Space, settings: SearchSettings) -> Plan:
    """The plan of an existing run that is to continue; called by `resume`, which has checked it."""
    log = resolved(checked(settings.log, RunFolder.at(below(settings.runs, str(settings.name)))))
    settings = replace(settings, trials=_trials(space, settings), bank=bank_folder(settings), log=log)
    parts = bank_parts(store, space, settings)
    return Plan(store, space, settings, parts, "as in the run", resumed=True)


def _trials(space: Space, settings: SearchSettings) -> int:
    """The number of trials; a grid has no more than its number of combinations."""
    if settings.sampler != "grid":
        return settings.trials
    next(space.grid())  # refuses a range with infinitely many values
    return min(settings.trials, space.count() or settings.trials)
