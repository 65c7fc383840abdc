"""Subgroups that a store knows."""

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from analysis.evaluation.subgroups import subgroups
from tests.analysis.evaluation.test_scores import of_any, predictions, store_table


def test_sources_and_thicknesses_are_subgroups_where_there_are_several():
    given = predictions(slices=200)
    names = given.patients.tolist()
    table = store_table(names, names, given.labels.tolist())
    table["source"] = np.where(np.arange(200) < 80, "a", "b")
    table["thickness_mm"] = 5.0
    rows = subgroups(given, table)
    assert rows.loc[rows["group"] != "label", "value"].tolist() == ["a", "b"]
    table["thickness_mm"] = np.where(np.arange(200) < 100, 0.625, 5.0)
    rows = subgroups(given, table).set_index("value")
    for value, chosen in {"a": slice(80), "b": slice(80, None), "up to 2 mm": slice(100)}.items():
        labels, probs = given.labels[chosen], given.probabilities[chosen]
        called = probs[:, 5] >= given.thresholds[5]
        assert rows.at[value, "auc"] == pytest.approx(roc_auc_score(labels, probs, average="macro"))
        assert rows.at[value, "auc_any"] == pytest.approx(roc_auc_score(labels[:, 5], probs[:, 5]))
        assert rows.at[value, "sensitivity_any"] == pytest.approx(recall_score(labels[:, 5], called))
        assert rows.at[value, "count"] == len(labels)


def test_a_kind_of_hemorrhage_is_compared_with_the_slices_without_any():
    epidural, subdural, none = [1.0, 0, 0, 0, 0, 1], [0.0, 0, 0, 0, 1, 1], [0.0] * 6
    table = store_table(list("abcd"), list("abcd"), [epidural, subdural, none, none])
    rows = subgroups(of_any([2, -1, 0, -2], table), table).set_index("value")
    assert rows.at["epidural", "auc_any"] == 1
    assert rows.at["subdural", "auc_any"] == 0.5
    assert rows.at["subdural", "count"] == 3
    assert np.isnan(rows.at["epidural", "auc"])
