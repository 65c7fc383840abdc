import pandas as pd

from ichtune.data.patients import settle_patients


def slices(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Slices of these patients, studies and series."""
    table = pd.DataFrame(rows, columns=["patient_id", "study_id", "series_id"], dtype=str)
    return table.assign(slice_id=[f"s{number}" for number in range(len(table))])


def test_named_patients_stay_as_they_are():
    found = settle_patients(slices(("P1", "a", ""), ("P2", "b", ""), ("12", "c", ""), ("1.3", "d", "")))
    assert found.ids.tolist() == ["P1", "P2", "12", "1.3"]
    assert (found.known, found.notes) == (True, ())


def test_a_slice_without_a_patient_counts_to_its_study_series_or_itself():
    found = settle_patients(slices(("", "1.2", "x"), ("", "1.2", "y"), ("", "", "x"), ("", "", "")))
    assert found.ids.tolist() == ["1.2", "1.2", "x", "s3"]
    assert not found.known
    assert "2 slices don't name a patient: their study counts as the patient (1 in all)" in found.notes[0]
    assert "their series counts" in found.notes[1]
    assert "each counts as its own" in found.notes[2]


def test_the_patient_of_a_studys_other_slices_is_no_guess():
    found = settle_patients(slices(("P1", "1.2", ""), ("", "1.2", ""), ("", "1.3", "")))
    assert found.ids.tolist() == ["P1", "P1", "1.3"]
    assert not found.known
    assert settle_patients(slices(("P1", "1.2", ""), ("", "1.2", ""))).known


def test_spellings_of_one_id_are_one_patient_and_a_note_names_them():
    found = settle_patients(
        slices(*((name, "", "") for name in ("p_12", "P 12", "p-1.2", "P13", "1.0", "1", "10")))
    )
    assert found.ids.nunique() == 4
    assert found.ids[:3].nunique() == 1
    assert found.ids[4] == found.ids[5] != found.ids[6]
    assert "'P 12' = 'p-1.2' = 'p_12'" in found.notes[0]
    assert found.known


def test_ids_of_punctuation_alone_are_not_all_one():
    assert settle_patients(slices(("--", "", ""), ("++", "", ""))).ids.nunique() == 2
