"""A scan is summed up by its largest probabilities, its positive slices, and where they are."""

import numpy as np
import pandas as pd
import pytest

from ichtune.labels import LABELS
from ichtune.prediction.by_scan import scan_row, scan_tables, scans_of
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from tests.made_up.dicom import write_rsna

SUBDURAL = [0.1, 0.7, 0.9, 0.2, np.nan]


@pytest.fixture
def slices() -> pd.DataFrame:
    """A scan of five slices, of which the last can't be read."""
    frame = pd.DataFrame({"scan": 3, "z_mm": [0.0, 5, 10, 15, np.nan], "reason": ["", "", "", "", "damaged"]})
    frame = frame.assign(patient_id="P", study_id="S", series_id="T")
    for label in LABELS:
        frame[label] = SUBDURAL if label == "subdural" else [0.0, 0, 0, 0, np.nan]
        frame[f"is_{label}"] = pd.array([p >= 0.5 if p == p else pd.NA for p in frame[label]], "Int8")
    return frame


def test_a_scan_has_its_largest_probabilities_and_where_they_are(slices):
    row = scan_row(slices)
    assert (row["slices"], row["unread"]) == (4, 1)
    assert row["max_subdural"] == 0.9
    assert row["top3_subdural"] == pytest.approx((0.2 + 0.7 + 0.9) / 3)
    assert row["slices_subdural"] == 2
    assert (row["peak_mm_subdural"], row["from_mm_subdural"], row["to_mm_subdural"]) == (10, 5, 10)
    assert row["slices_any"] == 0
    assert np.isnan(row["from_mm_any"])
    assert row["intended_use"] == "research software, no medical device"


def test_a_scan_is_whole_wherever_the_tables_are_parted(slices):
    table = pd.concat([slices, slices.assign(scan=4), slices.assign(scan=-1), slices.assign(scan=5)])
    for size in (1, 2, 5, 7, 30):
        parts = [table.iloc[first : first + size] for first in range(0, len(table), size)]
        assert [(scan["scan"].iloc[0], len(scan)) for scan in scans_of(parts)] == [(3, 5), (4, 5), (5, 5)]


def test_a_scan_without_a_readable_slice_has_no_probabilities(slices):
    row = scan_row(slices.iloc[-1:])
    assert (row["slices"], row["unread"], row["slices_any"]) == (0, 1, 0)
    assert np.isnan(row["max_any"])


def test_slices_in_no_scan_give_no_table(slices):
    assert list(scan_tables([slices.assign(scan=-1)])) == []


def test_the_table_by_scan_lies_beside_that_of_the_slices(model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=3, slices=4, size=16)
    made = predict([model], root, tmp_path / "p.csv", PredictOptions(workers=1))
    assert made.by_scan == tmp_path / "p.scans.csv"
    found, scans = pd.read_csv(made.file), pd.read_csv(made.by_scan)
    assert scans["slices"].tolist() == [4, 4, 4]
    expected = found.groupby("study_id", sort=False)["any"].max()
    np.testing.assert_allclose(scans.set_index("study_id")["max_any"], expected)
