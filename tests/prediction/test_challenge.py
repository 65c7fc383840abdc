"""Submissions hold every ID of the sample, and are scored as the challenge did."""

from math import log
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import log_loss

import ichtune as api
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from ichtune.prediction.score import score
from tests.made_up.dicom import long_table, write_rsna

SLICES = ("ID_a", "ID_b")
TRUTH = {"ID_a": (0, 0, 0, 0, 1, 1), "ID_b": (0, 0, 0, 0, 0, 0)}


def long_csv(file: Path, values: dict[str, tuple[float, ...]]) -> Path:
    long_table(values).to_csv(file, index=False)
    return file


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return long_csv(tmp_path / "labels.csv", TRUTH)


def test_a_score_worked_by_hand(tmp_path, labels):
    # Slice a: subdural .8 of a positive, any .9 of a positive, the rest .1 of negatives.
    # Slice b: everything .5.
    given = long_csv(tmp_path / "s.csv", {"ID_a": (0.1, 0.1, 0.1, 0.1, 0.8, 0.9), "ID_b": (0.5,) * 6})
    of_a = -(4 * log(0.9) + log(0.8) + 2 * log(0.9)) / 7
    of_b = log(2)
    found = score(given, labels)
    assert found.weighted_log_loss == pytest.approx((of_a + of_b) / 2, rel=1e-12)
    assert found.by_label["subdural"] == pytest.approx(log_loss([1, 0], [0.8, 0.5]))
    assert found.slices == 2


def test_a_certain_error_costs_what_the_challenges_clipping_makes_of_it(tmp_path, labels):
    given = long_csv(tmp_path / "s.csv", {"ID_a": (0, 0, 0, 0, 1, 0), "ID_b": (0,) * 6})
    # 1e-15 is the likelihood of a, whose `any` has weight 2 of 7; the mean over both slices.
    assert score(given, labels).weighted_log_loss == pytest.approx(-log(1e-15) * 2 / 7 / 2, rel=1e-6)


def test_the_order_of_ids_does_not_matter_and_labels_may_be_repeated(tmp_path, labels):
    values = {"ID_a": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "ID_b": (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)}
    given = long_csv(tmp_path / "s.csv", values)
    whole = score(given, labels)
    mixed = pd.read_csv(given).sample(frac=1, random_state=0)
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    twice = pd.read_csv(labels)
    pd.concat([twice, twice.head(6)]).to_csv(tmp_path / "twice.csv", index=False)
    again = score(tmp_path / "mixed.csv", tmp_path / "twice.csv")
    assert again.weighted_log_loss == pytest.approx(whole.weighted_log_loss, rel=1e-12)
    assert api.score(given, labels).weighted_log_loss == whole.weighted_log_loss


HALF = (0.5,) * 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"ID_a": HALF},
            "lacks 1 of the 2 slices of .*labels.csv .the first: ID_b.; the challenge needs every ID",
        ),
        (
            {"ID_a": HALF, "ID_b": HALF, "ID_c": HALF},
            "1 of its 3 slices are not in .*labels.csv .the first: ID_c",
        ),
        (
            {"ID_a": HALF, "ID_b": (0.5, 1.5, 0.5, 0.5, 0.5, 0.5)},
            "line 9: ID_b_intraparenchymal is '1.5'; must be a probability from 0 to 1",
        ),
        (
            {"ID_a": HALF, "ID_b": (0.5, float("nan"), 0.5, 0.5, 0.5, 0.5)},
            "line 9: ID_b_intraparenchymal is ''; must be a probability from 0 to 1",
        ),
    ],
)
def test_what_the_challenge_would_refuse_is_refused(tmp_path, labels, values, message):
    with pytest.raises(InputError, match=message):
        score(long_csv(tmp_path / "s.csv", values), labels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ID_a_any,0.5", "line 14: the ID 'ID_a_any' is there twice"),
        ("ID_a_anny,0.5", "line 14: the ID 'ID_a_anny' must end in one of epidural, .*; did you mean 'any'"),
        ("ID_c_any,0.5", "ID_c has no row for epidural, intraparenchymal, .*; every slice needs six"),
    ],
)
def test_a_wrong_id_is_named(tmp_path, labels, line, message):
    given = long_csv(tmp_path / "s.csv", dict.fromkeys(SLICES, HALF))
    given.write_text(given.read_text() + line + "\n")
    with pytest.raises(InputError, match=message):
        score(given, labels)


def test_the_command_shows_the_score(ichtune, tmp_path, labels):
    given = long_csv(tmp_path / "s.csv", dict.fromkeys(SLICES, HALF))
    code, output, errors = ichtune("score", given, labels)
    assert code == 0, errors
    assert "weighted log loss: 0.69315  (2 slices)" in output
    code, _, errors = ichtune("score", tmp_path / "gone.csv", labels)
    assert code == 2
    assert "gone.csv: no such submission" in errors


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_rsna(tmp_path / "rsna", patients=2, size=16)  # ID_000000000 to 2 and ID_000100000 to 2


def test_a_submission_has_the_ids_of_the_sample_in_their_order(ichtune, model, root, tmp_path):
    wanted = ["ID_000100001", "ID_gone", "ID_000000000"]
    sample = long_csv(tmp_path / "sample.csv", dict.fromkeys(wanted, HALF))
    code, output, errors = ichtune(
        "predict", model, root, "--out", tmp_path / "p.csv", "--workers", 1, "--submission", sample
    )
    assert code == 0, errors
    assert "1 slice of the sample submission without a prediction" in output
    given = pd.read_csv(tmp_path / "p.submission.csv")
    assert given["ID"].tolist() == pd.read_csv(sample)["ID"].tolist()
    table = pd.read_csv(tmp_path / "p.csv").set_index("slice_id")
    first, last = (
        table.loc[f"stage_2_train/{name}", list(LABELS)].tolist() for name in (wanted[0], wanted[2])
    )
    assert given["Label"][:6].tolist() == pytest.approx(first)
    assert given["Label"][12:].tolist() == pytest.approx(last)
    mean = [(a + b) / 2 for a, b in zip(first, last, strict=True)]
    assert given["Label"][6:12].tolist() == pytest.approx(mean)


def test_a_sample_of_other_slices_is_refused_before_anything_is_read(model, root, tmp_path):
    sample = long_csv(tmp_path / "sample.csv", {"ID_gone": HALF})
    options = PredictOptions(workers=1, submission=sample)
    with pytest.raises(InputError, match="which has 'ID_gone', the input 'stage_2_train/ID_000000000'"):
        predict([model], root, tmp_path / "p.csv", options)
    assert not (tmp_path / "p.csv.partial").exists()


def test_a_file_of_the_same_name_in_another_folder_is_said(model, root, tmp_path):
    (root / "again").mkdir()
    copy = root / "again" / "ID_000000000.dcm"
    copy.write_bytes((root / "stage_2_train" / "ID_000000000.dcm").read_bytes())
    sample = long_csv(tmp_path / "sample.csv", {"ID_000000000": HALF})
    made = predict([model], root, tmp_path / "p.csv", PredictOptions(workers=1, submission=sample))
    assert any("1 slice is predicted several times" in note for note in made.notes)
