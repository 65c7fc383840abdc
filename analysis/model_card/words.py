"""The sentences of a model card that follow from numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.ranking.order import Ranking
from analysis.statistics.influence import Truth
from analysis.tables.rounding import decimals_for, interval, shown
from ichtune.data.inspect.describe import rejections_by_kind
from ichtune.data.store import SliceStore
from ichtune.inference.about import About
from ichtune.labels import LABELS
from ichtune.metric_names import in_words
from ichtune.wording import plural

RARE: Final = 10
"""A label with fewer positive patients has scores that depend on single heads."""


def searched(ranking: Ranking, truth: Truth, rank: int) -> list[str]:
    """How the recipe was found: the search, the recipe's rank and score, and what the best score is worth."""
    certainty, trial = Certainty(ranking, truth), ranking.trials[rank - 1]
    request, metric, count = ranking.run.request, in_words(ranking.metric), len(ranking.trials)
    digits = decimals_for(certainty.typical_error)
    row = certainty.table.iloc[rank - 1]
    ends = interval(row["score_low"], row["score_high"], digits)
    sentences = [
        f"The search {ranking.run.name} tried {plural(count, 'recipe', 'recipes')} of the space {request.space.name} "
        f"(sampler {request.settings.sampler}, seed {request.settings.seed}), each scored by the mean {metric} over "
        f"{request.validation} folds of patients.",
        f"This recipe has rank {rank} (trial {trial.name}): {metric} {shown(trial.score, digits) or 'undefined'}"
        f"{f' (95 % interval by patient {ends})' if ends else ''} as searched.",
    ]
    if certainty.corrected_best is not None and certainty.others:
        sentences.append(
            f"The best score of all is {shown(ranking.best.score, digits)}, and "
            f"{shown(certainty.corrected_best, digits)} corrected for selecting the best of {count}; "
            f"{certainty.tied} of the {certainty.others} others are indistinguishable from the best."
        )
    return sentences


def exclusions(store: SliceStore) -> list[str]:
    """How many files of the source were left out, by reason; `#` stands for names and numbers."""
    file = store.path / "rejected.csv"
    if not file.is_file():
        return []
    rejected = pd.read_csv(file, dtype=str).fillna("")
    return (
        [f"{len(group):,}: {kind}" for kind, group in rejections_by_kind(rejected)] if len(rejected) else []
    )


def snippet(about: About, folder: Path) -> str:
    """Python code that loads the model and predicts: `hu` if it can do with slices alone, or else a store."""
    lines = ["from ichtune.inference.trained_model import TrainedModel", ""]
    place = "/".join(folder.parts[-4:])
    lines.append(f'model = TrainedModel.open("{place}")')
    if about.preprocessing.neighbours:
        lines[0] = f"from ichtune.data.store import SliceStore\n{lines[0]}"
        lines += [
            'store = SliceStore.open("STORE")  # the model reads neighbouring slices, which a store knows',
            "probabilities = model.predict(store.hu, store.test, scans=store.scans)  # [n, 6]",
        ]
    else:
        of = "the slices of one scan, feet to head" if about.recipe.head.reads_scans else "slices"
        lines.append(
            f"probabilities = model.predict(hu)  # {of} in Hounsfield units, int16 [n, S, S] -> [n, 6]"
        )
    return "\n".join([*lines, "present = probabilities >= model.thresholds"])


def limits(store: SliceStore, rows: Mapping[str, np.ndarray]) -> list[str]:
    """What limits the model, from the counts behind it."""
    rare = {name: _rare(store, part) for name, part in rows.items()}
    sources = plural(max(len(store.info.sources), 1), "source", "sources")
    found = [
        f"Little can be said about labels with fewer than {RARE} positive patients in {name}: {', '.join(labels)}."
        for name, labels in rare.items()
        if labels
    ]
    if not len(store.test):
        found.append("There is no test set: every score is from patients with a part in model selection.")
    if not store.info.patients_known:
        found.append(
            "Not every patient is identified, so slices of one head may be in both training and validation."
        )
    return [
        f"Trained and scored on data of {sources}; other scanners, hospitals, patients or another prevalence may give "
        "other scores, other calibration and other best thresholds.",
        *found,
        "Scores are per slice. Nothing was measured per scan or patient.",
    ]


def _rare(store: SliceStore, rows: np.ndarray) -> list[str]:
    counts = [
        len(np.unique(store.patients[rows][store.labels[rows, column] == 1])) for column in range(len(LABELS))
    ]
    return [f"{label} ({count})" for label, count in zip(LABELS, counts, strict=True) if count < RARE]
