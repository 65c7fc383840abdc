"""What one model scores more than another on the same slices, paired by patient."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd

from analysis.scoring.predicted import Predicted
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from ichtune.data.store import SliceStore
from ichtune.metric_names import METRICS
from ichtune.training.batches import Fold

PAIRED: Final = tuple(name for name in METRICS if name != "loss")  # that is the network's own


def paired_differences(
    store: SliceStore, folds: Sequence[Fold], before: Predicted, after: Predicted
) -> pd.DataFrame:
    """One row per part and metric: `part, metric, before, after, difference, low, high`.

    The ends are those of the difference's 95 % interval by patient. In validation, scores are means over the folds.
    """
    valid = [np.full(store.labels.shape, np.nan, np.float32) for _ in range(2)]
    for place, fold in enumerate(folds):
        for logits, model in zip(valid, (before, after), strict=True):
            logits[fold.valid] = model.validation[place]
    truth = Truth(store.labels, store.patients, folds)
    rows = list(_rows("validation", truth, valid))
    if before.test is not None and after.test is not None:
        test = [np.full(store.labels.shape, np.nan, np.float32) for _ in range(2)]
        test[0][store.test], test[1][store.test] = before.test, after.test
        rows += _rows("test", Truth(store.labels, store.patients, [Fold(0, store.train, store.test)]), test)
    return pd.DataFrame(rows)


def _rows(part: str, truth: Truth, logits: Sequence[np.ndarray]) -> Iterator[dict[str, object]]:
    for metric in PAIRED:
        scores = Scores.of(Measure(metric, truth), logits)
        difference, low, high = scores.differences(0)[1]
        before, after = scores.values
        yield {
            "part": part,
            "metric": metric,
            "before": before,
            "after": after,
            "difference": difference,
            "low": low,
            "high": high,
        }
