"""Made-up patients: what is planned, what the pictures hold, and what lies in the folder."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.config import disable_value_validation

from ichtune.data.phantom.anatomy.scanner import Scanner
from ichtune.data.phantom.anatomy.shapes import Points
from ichtune.data.phantom.draw import PatientPlan, Picture, draw_patient, plan_patients, thick_slices
from ichtune.data.phantom.vessels import draw_with_spots
from ichtune.data.phantom.write import write_phantoms
from ichtune.errors import InputError
from ichtune.labels import LABELS, SUBTYPES

SMALL = 64  # pixels; enough to tell bytes and tags by
COARSE = 128  # to see the brain by
FINE = 256  # to see blood beside bone by


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "set"
    write_phantoms(out, patients=3, seed=3, workers=1, size=SMALL)
    return out


def read_all(folder: Path) -> list[pydicom.Dataset]:
    with disable_value_validation():  # RSNA's identifiers are no valid UIDs
        return [pydicom.dcmread(path) for path in sorted(folder.glob("stage_2_train/*.dcm"))]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "stage_2_train.csv")
    table[["slice_id", "label"]] = table.pop("ID").str.extract(r"(ID_[0-9a-f]{9})_(\w+)")
    return table


def test_a_seed_gives_the_same_bytes_with_any_number_of_workers(phantoms: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "again", patients=3, seed=3, workers=2, size=SMALL)
    assert contents(tmp_path / "again") == contents(phantoms)


def test_another_seed_gives_other_identifiers(phantoms: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path, patients=1, seed=4, workers=1, size=SMALL)
    names = ("SOPInstanceUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    ours, theirs = (
        {ds[name].value for ds in read_all(folder) for name in names} for folder in (phantoms, tmp_path)
    )
    assert not ours & theirs


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_bleeds_in_at_least_five_of_forty_patients(seed: int) -> None:
    plans = plan_patients(40, seed)
    kinds = Counter(kind for plan in plans for kind in plan.kinds)
    assert min(kinds[kind] for kind in SUBTYPES) >= 5
    assert 0.4 <= sum(bool(plan.kinds) for plan in plans) / 40 <= 0.5
    assert any(len(plan.kinds) == 2 for plan in plans)


def test_the_patients_who_bleed_are_others_with_another_seed() -> None:
    assert [plan.kinds for plan in plan_patients(40, 0)] != [plan.kinds for plan in plan_patients(40, 1)]


def test_every_slice_has_its_six_labels_and_no_label_lacks_its_slice(phantoms: Path) -> None:
    table = rows(phantoms)
    assert set(table.slice_id) == {path.stem for path in phantoms.glob("stage_2_train/*.dcm")}
    assert table.groupby("slice_id", sort=False).label.agg(tuple).map(lambda labels: labels == LABELS).all()
    assert set(table.Label) == {0, 1}


def test_any_is_positive_where_one_of_the_five_is(phantoms: Path) -> None:
    wide = rows(phantoms).pivot(index="slice_id", columns="label", values="Label")
    assert (wide["any"] == wide[list(SUBTYPES)].max(axis=1)).all()


def test_the_summary_counts_what_was_written(tmp_path: Path) -> None:
    done: list[int] = []
    summary = write_phantoms(tmp_path, patients=2, seed=1, workers=1, size=SMALL, progress=done.append)
    table = rows(tmp_path)
    assert done == [1, 2]
    assert summary.patients == len({ds.PatientID for ds in read_all(tmp_path)}) == 2
    assert summary.slices == len(table) / 6
    assert summary.positives == table.groupby("label").Label.sum().to_dict()


def test_slices_carry_the_tags_of_the_challenge(phantoms: Path) -> None:
    for ds in read_all(phantoms):
        assert ds.Modality == "CT"
        assert ds.PhotometricInterpretation == "MONOCHROME2"
        assert (ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.BitsAllocated) == (SMALL, SMALL, 1, 16)
        assert (ds.BitsStored, ds.HighBit, ds.PixelRepresentation) in {(16, 15, 1), (12, 11, 0)}
        assert ds.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert (ds.WindowCenter, ds.WindowWidth, ds.StudyID) == (40, 80, "")
        assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        # The field of view of a head CT is a little under a quarter of a meter.
        assert 220 < ds.PixelSpacing[0] * ds.Columns < 260


def test_pixels_are_hounsfield_units_from_air_to_bone(phantoms: Path) -> None:
    slices = read_all(phantoms)
    hu = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])
    np.testing.assert_allclose(hu.min(axis=(1, 2)), -1000, atol=25)
    assert 1000 < hu.max() < 2000


def test_a_patient_has_two_to_three_dozen_slices_five_millimeters_apart(phantoms: Path) -> None:
    heights: dict[str, list[float]] = {}
    for ds in read_all(phantoms):
        heights.setdefault(ds.SeriesInstanceUID, []).append(float(ds.ImagePositionPatient[2]))
    assert len(heights) == 3
    for z in heights.values():
        assert 24 <= len(z) <= 34
        np.testing.assert_allclose(np.diff(sorted(z)), 5.0, atol=1e-3)


@pytest.mark.parametrize("kind", SUBTYPES)
def test_blood_is_as_dense_as_blood_in_several_neighbouring_slices(kind: str) -> None:
    pictures = list(draw_patient(PatientPlan(seed=0, number=8, kinds=(kind,), atrophic=False), FINE))
    positive = [i for i, picture in enumerate(pictures) if picture.kinds == (kind,)]
    blood = np.concatenate([pictures[i].hu[pictures[i].blood[kind] > 0.9] for i in positive])
    assert 50 < np.median(blood) < 80  # HU of fresh blood
    assert len(positive) >= 3
    assert len(positive) < len(pictures)


def test_a_patient_who_does_not_bleed_has_no_positive_slice() -> None:
    pictures = draw_patient(PatientPlan(seed=0, number=7, kinds=(), atrophic=False), SMALL)
    assert not any(picture.kinds for picture in pictures)


@pytest.fixture(scope="module")
def spotted() -> list[list[tuple[bool, Picture, Picture]]]:
    """For three patients: whether each slice is labelled as bleeding, it, and the same slice without spots."""
    patients = []
    for number in range(3):
        plan = PatientPlan(seed=0, number=number, kinds=(), atrophic=False)
        pairs = zip(draw_with_spots(plan, COARSE), draw_patient(plan, COARSE), strict=True)
        patients.append([(bool(spot.kinds), spot, plain) for spot, plain in pairs])
    return patients


def has_spot(spot: Picture, plain: Picture) -> bool:
    return bool((spot.hu != plain.hu).any())


def test_a_vessel_runs_through_twelve_slices_and_is_no_blood(spotted: list) -> None:
    [*spots] = [i for i, (_, spot, plain) in enumerate(spotted[0]) if has_spot(spot, plain)]
    assert spots == list(range(spots[0], spots[0] + 12))
    assert not any(bleeds for bleeds, _, _ in spotted[0])


@pytest.mark.parametrize("patient", [1, 2])
def test_a_bleed_beside_vessels_ends_after_two_slices(spotted: list, patient: int) -> None:
    spots = "".join("x" if has_spot(spot, plain) else "." for _, spot, plain in spotted[patient])
    assert all(len(run) <= 2 for run in spots.split("."))
    assert spots == "".join("x" if bleeds else "." for bleeds, _, _ in spotted[patient])


def test_as_many_slices_have_a_vessel_as_a_bleed(spotted: list) -> None:
    counts = [sum(has_spot(spot, plain) for _, spot, plain in patient) for patient in spotted]
    assert counts == [12, 6, 6]


def test_blood_counts_as_visible_from_fifteen_square_millimeters() -> None:
    share = np.zeros((8, 8), np.float32)
    share.flat[:14] = 1.0
    picture = Picture(np.zeros((8, 8), np.int16), {"epidural": share}, z_mm=0.0, spacing_mm=1.0)
    assert picture.kinds == ()
    share.flat[14] = 1.0
    assert picture.kinds == ("epidural",)


class HalfSpace:
    """A head of 100 HU above the height 0, and blood there."""

    def at(self, p: Points) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        above = (p.z > 0).astype(np.float32)
        return 100 * above, {"epidural": above}


def test_a_slice_averages_over_its_thickness_and_its_neighbours_share_its_faces() -> None:
    straight = Scanner(
        size=2,
        spacing_mm=1.0,
        table_mm=0.0,
        to_head=np.eye(3, dtype=np.float32),
        shift_mm=(0.0, 0.0),
        noise_hu=0.0,
        headrest_mm=0.0,
    )
    # Planes at -7.5, -5, -2.5, 0, 2.5, 5 and 7.5 mm: only those above 0 are bright.
    slices = list(thick_slices(HalfSpace(), straight, [-5.0, 0.0, 5.0]))  # ty: ignore[invalid-argument-type]
    assert [float(hu[0, 0]) for hu, _ in slices] == [0.0, 25.0, 100.0]
    assert [float(blood["epidural"][0, 0]) for _, blood in slices] == [0.0, 0.25, 1.0]


def test_the_brain_is_gray_and_white_matter_and_atrophy_leaves_more_fluid() -> None:
    fluid = []
    for atrophic in (False, True):
        pictures = list(draw_patient(PatientPlan(seed=0, number=2, kinds=(), atrophic=atrophic), COARSE))
        middle = np.concatenate([p.hu[44:84, 44:84].ravel() for p in pictures[11:16]])
        assert 25 < np.median(middle) < 42  # HU between white and gray matter
        fluid.append(np.mean(middle < 18))
    assert fluid[1] > 1.5 * fluid[0]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"new or empty folder.*remove this one or choose another"):
        write_phantoms(tmp_path, patients=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_that_was_killed_leaves_no_labels(tmp_path: Path) -> None:
    def kill(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantoms(tmp_path, patients=2, workers=1, size=SMALL, progress=kill)
    assert list(tmp_path.glob("stage_2_train/*.dcm"))
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("wrong", [{"patients": 0}, {"seed": -1}, {"size": 8}])
def test_impossible_wishes_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*got {next(iter(wrong.values()))}"):
        write_phantoms(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
