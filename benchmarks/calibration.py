"""What calibration is worth: the trials of a search as trained and calibrated, by their out-of-fold predictions.

    python benchmarks/calibration.py RUN --data STORE

Prints a Markdown row per trial: log loss and expected calibration error as trained, with temperature and with Platt
scaling, fitted on the other folds each; the mean over labels with enough patients.
"""

import argparse
from pathlib import Path

import numpy as np

from analysis.calibration.out_of_fold import OutOfFold
from analysis.calibration.scores import Judged, calibration_errors
from analysis.calibration.tune import Tuned
from analysis.calibration.wanted import Wanted
from analysis.ranking.order import Ranking
from ichtune.labels import LABELS

WAYS = (Wanted("temperature"), Wanted("platt"))


def errors(given: OutOfFold, wanted: Wanted) -> dict[str, tuple[float, float]]:
    """The log loss and the calibration error, before and after, by name; the mean over labels with enough patients."""
    table = calibration_errors([Judged.cross_fitted("validation", Tuned(given, wanted))])
    labels = [label for label, enough in zip(LABELS, given.enough, strict=True) if enough]
    means = table[table["label"].isin(labels)].groupby("error")[["before", "after"]].mean()
    return {name: tuple(means.loc[name]) for name in ("log loss", "calibration error")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="new location of the run's store, if it was moved")
    arguments = parser.parse_args()
    ranking = Ranking.of(arguments.run, data=arguments.data)
    store = ranking.run.request.open_store()
    rows = store.train
    folds = store.table["fold"].to_numpy()[rows]
    print("| trial | log loss | temperature | Platt | calibration error | temperature | Platt |")
    print("|---|---|---|---|---|---|---|")
    for trial in ranking.trials:
        if trial.mean_logits is None:
            continue
        logits = trial.mean_logits[rows].astype(np.float32)
        given = OutOfFold(logits, store.labels[rows], store.patients[rows], folds)
        by_way = [errors(given, wanted) for wanted in WAYS]
        cells = [
            f"{value:.3f}"
            for name in ("log loss", "calibration error")
            for value in (by_way[0][name][0], *(way[name][1] for way in by_way))
        ]
        print(f"| {trial.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
