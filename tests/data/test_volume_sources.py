"""Labelled volumes in every layout become the slices with the labels that they should have."""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ichtune.data.formats.image import read_image
from ichtune.data.mask_classes import parse_mask_classes
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.sources import NothingUsable, open_source
from ichtune.data.sources.mask_files import pair_masks
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.windows import WINDOWS
from tests.made_up.nifti import change_header, head_volume, write_volume

CLASSES = "1=epidural,2=intraparenchymal,3=intraventricular,4=subarachnoid,5=subdural"
HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No_Hemorrhage,"
    "Fracture_Yes_No\n"
)


def opened(root: Path, labels: Path | None = None, **options):
    return open_source(root, labels, PrepareOptions(**options))


def reasons(source) -> dict[str, str]:
    return dict(zip(source.rejected["file"], source.rejected["reason"], strict=True))


def mask(planes: int, values: dict[int, int], dtype=np.uint8) -> np.ndarray:
    """A mask with one voxel of a value in each of these planes, counted from 0 at the feet."""
    voxels = np.zeros((planes, 16, 16), dtype)
    for plane, value in values.items():
        voxels[plane, 3, 5] = value
    return voxels


def write_ct_ich(
    root: Path, codes: dict[int, str], *, from_head: bool = False, marked: tuple[int, ...] = (3,)
) -> Path:
    """CT-ICH 1.3.1: volumes of five slices stored along `codes`; the fourth slice from the feet has an epidural."""
    rows = ""
    for patient, order in codes.items():
        write_volume(root / "ct_scans" / f"{patient:03d}.nii", head_volume(5, seed=patient), order)
        write_volume(root / "masks" / f"{patient:03d}.nii", mask(5, dict.fromkeys(marked, 255)), order)
        for number in range(1, 6):
            positive = int(number == (2 if from_head else 4))
            rows += f"{patient},{number},0,0,0,{positive},0,{1 - positive},0\n"
    (root / "hemorrhage_diagnosis_raw_ct.csv").write_text(HEADER + rows)
    return root


EIGHT = {49 + k: "".join(ends) for k, ends in enumerate(product("LR", "PA", "IS"))}
SIX = {66: "RAS", 67: "RSA", 68: "ARS", 69: "ASR", 70: "SRA", 71: "SAR"}


@pytest.mark.parametrize("from_head", [False, True])
@pytest.mark.parametrize("codes", [EIGHT, SIX], ids=["flips", "permutations"])
def test_ct_ich_has_the_same_labels_however_its_volumes_are_stored(tmp_path, codes, from_head):
    source = opened(write_ct_ich(tmp_path, codes, from_head=from_head))
    assert source.format == "ct-ich"
    assert len(source.entries) == 5 * len(codes)
    positive = source.entries["plane"] == 3
    assert (source.entries["any"] == positive).all()
    assert (source.entries["epidural"] == positive).all()
    assert source.entries["patient_id"].unique().tolist() == [f"{patient:03d}" for patient in codes]
    n = len(codes)
    way, other = ("head down", "feet up") if from_head else ("feet up", "head down")
    assert source.notes[0] == (
        f"Slice numbers count from the {way}: of {n} slices with voxels in a mask, {n} are positive in the table "
        f"(0 if counted from the {other})."
    )


def test_ct_ich_may_count_in_the_order_of_each_file(tmp_path):
    write_ct_ich(tmp_path, {49: "RAS", 50: "RAI"})
    table = pd.read_csv(tmp_path / "hemorrhage_diagnosis_raw_ct.csv")
    turned = (
        table["PatientNumber"] == 50
    )  # stored from the head down, its fourth slice from the feet is the second
    table.loc[turned, "SliceNumber"] = 6 - table.loc[turned, "SliceNumber"]
    table.to_csv(tmp_path / "hemorrhage_diagnosis_raw_ct.csv", index=False)
    source = opened(tmp_path)
    assert source.notes[0].startswith("Slice numbers count in the order of the file: of 2 slices")
    assert (source.entries["any"] == (source.entries["plane"] == 3)).all()


def test_ct_ich_without_masks_is_refused_unless_the_direction_is_no_matter(tmp_path):
    write_ct_ich(tmp_path, {49: "RAS"}, marked=())
    with pytest.raises(
        InputError, match=r"can't be determined whether slice numbers count from the feet up or"
    ):
        opened(tmp_path)
    table = pd.read_csv(tmp_path / "hemorrhage_diagnosis_raw_ct.csv").assign(Epidural=0, No_Hemorrhage=1)
    table.to_csv(tmp_path / "hemorrhage_diagnosis_raw_ct.csv", index=False)
    assert (opened(tmp_path).entries["any"] == 0).all()


def test_where_masks_and_table_of_ct_ich_disagree_the_table_counts(tmp_path):
    source = opened(write_ct_ich(tmp_path, {49: "RAS", 50: "LPS"}, marked=(3, 4)))
    assert (source.entries["any"] == (source.entries["plane"] == 3)).all()
    assert source.notes[1] == (
        "2 slices have voxels in a mask but no hemorrhage in the table (the first: ct_scans/049.nii, slice 5 from the "
        "feet); the table counts."
    )


def test_masks_of_ct_ich_without_an_orientation_are_laid_over_their_volume(tmp_path):
    write_ct_ich(tmp_path, {49: "LAI"})
    change_header(tmp_path / "masks" / "049.nii", sform_code=0, qform_code=0)
    source = opened(tmp_path)
    assert (source.entries["any"] == (source.entries["plane"] == 3)).all()
    assert "1 are positive" in source.notes[0]


def test_rows_and_slices_of_ct_ich_without_each_other_are_named(tmp_path):
    write_ct_ich(tmp_path, {49: "RAS", 50: "RAS", 51: "RAS"})
    (tmp_path / "ct_scans" / "051.nii").unlink()
    (tmp_path / "ct_scans" / "050.nii").write_bytes(b"not a volume")
    table = tmp_path / "hemorrhage_diagnosis_raw_ct.csv"
    rows = table.read_text().replace("49,1,0,0,0,0,0,1,0\n", "49,6,0,0,0,0,0,1,0\n")
    table.write_text(rows)
    found = reasons(opened(tmp_path))
    assert found["ct_scans/049.nii (slice 1 from the feet)"].startswith("a file without labels")
    assert found["049, slice 6"] == "labels without a slice: 'ct_scans/049.nii' has slices 1 to 5"
    assert found["050, slice 3"] == "'ct_scans/050.nii': not a NIfTI file"
    assert found["051, slice 3"].startswith("labels without a file")
    assert len(found) == 12


LAYOUTS = {
    "bhsd": ("label_192/images/{}.nii.gz", "label_192/ground truths/{}.nii.gz"),
    "instance": ("train_2/data/{}.nii.gz", "train_2/label/{}.nii.gz"),
    "seg-cq500": ("data/volumes/{}/CT.nii", "data/volumes/{}/ICH_mask.nii.gz"),
    "nnu-net": ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"),
    "beside": ("{}.nii", "{}_seg.nii"),
    "below": ("{}.nii.gz", "masks/{}_mask.nii.gz"),
}


@pytest.mark.parametrize(("volume", "own_mask"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_binary_masks_label_slices_in_every_layout(tmp_path, volume, own_mask):
    for number, name in enumerate(("001", "002")):
        write_volume(tmp_path / volume.format(name), head_volume(4, seed=number), "LPS")
        write_volume(tmp_path / own_mask.format(name), mask(4, {number: 1}), "LPS")
    source = opened(tmp_path)
    assert source.format == "nifti"
    assert source.entries["any"].tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
    assert source.entries["plane"].tolist() == [0, 1, 2, 3] * 2
    assert source.entries[list(LABELS[:5])].isna().all(axis=None)
    assert source.entries["series_id"].nunique() == 2
    assert (source.entries["patient_id"] == "").all()


def test_classes_label_their_subtypes_and_a_slice_without_any_is_negative(tmp_path):
    write_volume(tmp_path / "images" / "a.nii", head_volume(4))
    both = mask(4, {1: 1, 2: 5})
    both[2, 0, 0] = 2
    write_volume(tmp_path / "masks" / "a.nii", both, "PIR")
    entries = opened(tmp_path, mask_classes=CLASSES).entries
    assert entries[list(LABELS)].to_numpy().tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 0],
    ]


def test_other_labels_stay_unknown_where_the_classes_are_only_some(tmp_path):
    write_volume(tmp_path / "images" / "a.nii", head_volume(3))
    write_volume(tmp_path / "masks" / "a.nii", mask(3, {0: 1, 1: 2}, np.float32))
    entries = opened(tmp_path, mask_classes="1=SDH,2=nothing").entries
    assert entries["subdural"].tolist() == [1, 0, 0]
    np.testing.assert_array_equal(entries["any"], [1, np.nan, np.nan])
    assert entries[["epidural", "subarachnoid"]].isna().all(axis=None)


def test_blood_of_an_unknown_subtype_leaves_the_subtypes_unknown(tmp_path):
    write_volume(tmp_path / "images" / "a.nii", head_volume(3))
    both = mask(3, {0: 1, 1: 2})
    both[1, 0, 0] = 1
    write_volume(tmp_path / "masks" / "a.nii", both)
    entries = opened(tmp_path, mask_classes="1=any,2=epidural,3=subdural").entries
    np.testing.assert_array_equal(
        entries[["epidural", "subdural", "any"]], [[np.nan, np.nan, 1], [1, np.nan, 1], [0, 0, 0]]
    )


def test_values_without_a_label_are_refused_with_the_option_to_give(tmp_path):
    write_volume(tmp_path / "images" / "a.nii", head_volume(3))
    write_volume(tmp_path / "masks" / "a.nii", mask(3, {0: 1, 1: 7}))
    with pytest.raises(
        InputError, match=r"have the values 1, 7, and 1 has no label; .* --mask-classes 1=epidural"
    ):
        opened(tmp_path)
    with pytest.raises(InputError, match="and 7 has no label"):
        opened(tmp_path, mask_classes=CLASSES)


@pytest.mark.parametrize(
    "written",
    ["1", "x=epidural", "0=epidural", "1=edema", "1=epidural,1=any", "1=No_Hemorrhage", "1=nothing"],
)
def test_impossible_classes_are_refused(written):
    with pytest.raises(ValueError, match=r"must|twice"):
        parse_mask_classes(written)
    with pytest.raises(InputError, match=r"--mask-classes (must|has)"):
        PrepareOptions(mask_classes=written)


def test_masks_that_do_not_fit_reject_their_volume_with_the_reason(tmp_path):
    for name in ("good", "shape", "place", "real", "none"):
        write_volume(tmp_path / "images" / f"{name}.nii", head_volume(2))
    write_volume(tmp_path / "masks" / "good.nii", mask(2, {0: 1}))
    write_volume(tmp_path / "masks" / "shape.nii", mask(3, {0: 1}))
    change_header(write_volume(tmp_path / "masks" / "place.nii", mask(2, {0: 1})), srow_z=[0, 0, 5, 6])
    write_volume(tmp_path / "masks" / "real.nii", mask(2, {0: 1}, np.float32) * np.float32(0.5))
    write_volume(tmp_path / "masks" / "alone.nii", mask(2, {0: 1}))
    found = reasons(opened(tmp_path))
    expected = {
        "shape": "it has 16 x 16 x 3 voxels, its volume 16 x 16 x 2",
        "place": "it lies elsewhere than its volume: their affines differ",
        "real": "its values are not whole numbers",
        "none": "a volume without a mask",
    }
    for name, reason in expected.items():
        for number in (1, 2):
            assert reason in found[f"images/{name}.nii (slice {number} from the feet)"]
    assert found["masks/alone.nii"] == "a mask without a volume"
    assert len(found) == 9


def test_a_mask_stored_in_another_order_than_its_volume_is_brought_to_it(tmp_path):
    write_volume(tmp_path / "images" / "a.nii", head_volume(4), "RAS")
    write_volume(tmp_path / "masks" / "a.nii", mask(4, {3: 1}), "ILA")
    assert opened(tmp_path).entries["any"].tolist() == [0, 0, 0, 1]


def test_ambiguous_masks_are_not_guessed():
    found = pair_masks(["a/x.nii", "b/x.nii", "masks/x.nii", "c/CT.nii", "c/mask.nii", "c/CT_seg.nii"])
    assert found.rejected == {
        "masks/x.nii": "a mask that fits 2 volumes: 'a/x.nii', 'b/x.nii'",
        "c/CT.nii": "two masks fit it: 'c/CT_seg.nii', 'c/mask.nii'",
    }


def test_a_table_of_slices_counts_from_the_number_that_it_begins_with(tmp_path):
    for name in ("p1", "p2"):
        write_volume(tmp_path / "scans" / f"{name}.nii.gz", head_volume(3), "RAI")
    rows = "".join(f"{name}.nii.gz,{k},{int(k == 2)},pat-{name}\n" for name in ("p1", "p2") for k in range(3))
    (tmp_path / "labels.csv").write_text("volume,slice_index,hemorrhage,patient\n" + rows)
    source = opened(tmp_path)
    assert source.entries["any"].tolist() == [0, 0, 1] * 2
    assert source.entries["slice_id"].tolist()[:3] == [f"scans/p1_00{k}" for k in (1, 2, 3)]
    assert source.entries["patient_id"].unique().tolist() == ["pat-p1", "pat-p2"]
    assert source.notes[0] == "Slices are numbered from 0 in labels.csv."
    assert source.notes[1].startswith("Slices are taken to be counted from the feet up")


@pytest.mark.parametrize(
    ("number", "note"),
    [
        (0, "Slices are numbered from 0"),
        (3, "Slices are numbered from 1"),
        (2, "Slices are taken to be numbered from 1"),
    ],
)
def test_it_is_noted_how_the_first_number_is_known(tmp_path, number, note):
    write_volume(tmp_path / "a.nii", head_volume(3))
    (tmp_path / "labels.csv").write_text(f"scan,slice,any\na,{number},1\n")
    assert opened(tmp_path).notes[0].startswith(note)


def test_a_damaged_volume_that_no_row_is_about_is_listed_too(tmp_path):
    write_volume(tmp_path / "a.nii", head_volume(1))
    (tmp_path / "b.nii").write_bytes(b"not a volume")
    (tmp_path / "labels.csv").write_text("scan,slice,any\na,1,1\n")
    assert reasons(opened(tmp_path)) == {"b.nii": "not a NIfTI file"}


def test_a_volume_with_two_masks_still_has_its_rows_of_the_table(tmp_path):
    for name in ("a.nii", "a_seg.nii", "masks/a.nii"):
        write_volume(tmp_path / name, head_volume(1) if name == "a.nii" else mask(1, {0: 1}))
    (tmp_path / "labels.csv").write_text("scan,slice,any\na,1,1\n")
    assert opened(tmp_path, tmp_path / "labels.csv").entries["any"].tolist() == [1]
    write_volume(tmp_path / "b.nii", head_volume(1))
    write_volume(tmp_path / "masks" / "b.nii", mask(1, {0: 1}))
    found = reasons(opened(tmp_path))
    assert found == {"a.nii (slice 1 from the feet)": "two masks fit it: 'a_seg.nii', 'masks/a.nii'"}


def test_a_table_of_slices_is_turned_as_the_masks_show(tmp_path):
    write_volume(tmp_path / "scans" / "a.nii", head_volume(3))
    write_volume(tmp_path / "masks" / "a.nii", mask(3, {0: 1}))
    (tmp_path / "labels.csv").write_text("scan,slice,any\na,1,0\na,2,0\na,3,1\n")
    source = opened(tmp_path, tmp_path / "labels.csv")
    assert source.entries["any"].tolist() == [1, 0, 0]
    assert any(note.startswith("Slice numbers count from the head down") for note in source.notes)


def test_a_volume_of_two_patients_is_rejected(tmp_path):
    for name in ("a", "b"):
        write_volume(tmp_path / f"{name}.nii", head_volume(2))
    (tmp_path / "labels.csv").write_text("scan,slice,patient,any\na,1,x,1\na,2,y,0\nb,1,y,0\nb,2,y,0\n")
    source = opened(tmp_path)
    assert set(source.entries["file"]) == {"b.nii"}
    assert reasons(source)["a, slice 2"] == "'a.nii': its slices have two patients in the table: 'x', 'y'"


def test_an_id_that_numbers_rows_names_no_volumes(tmp_path):
    for name in ("1", "2"):
        write_volume(tmp_path / f"{name}.nii", head_volume(2))
    (tmp_path / "labels.csv").write_text("id,patient,slice,any\n1,2,1,1\n2,2,2,0\n3,1,1,0\n4,1,2,0\n")
    assert opened(tmp_path).entries["any"].tolist() == [0, 0, 1, 0]
    (tmp_path / "labels.csv").write_text("id,patient,any\n1,2,1\n2,1,0\n")
    with pytest.raises(
        InputError, match=r"about '1.nii' by its column id, but about '2.nii' by patient; rename"
    ):
        opened(tmp_path)


def test_masks_show_from_which_number_a_table_counts(tmp_path):
    write_volume(tmp_path / "scans" / "a.nii", head_volume(6))
    write_volume(tmp_path / "masks" / "a.nii", mask(6, {2: 1, 3: 1}))
    write_volume(tmp_path / "scans" / "b.nii", head_volume(6))  # of which the table has no rows
    write_volume(tmp_path / "masks" / "b.nii", mask(6, dict.fromkeys(range(6), 1)))
    (tmp_path / "labels.csv").write_text("scan,slice,any\na,1,0\na,2,1\na,3,1\na,4,0\n")
    source = opened(tmp_path, tmp_path / "labels.csv")
    assert dict(zip(source.entries["plane"], source.entries["any"], strict=True)) == {1: 0, 2: 1, 3: 1, 4: 0}
    assert source.notes[0] == (
        "Slices are numbered from 0 in labels.csv, as 2 of its positive slices have voxels in a mask (1 if numbered "
        "from 1)."
    )


def test_a_table_that_fits_less_than_half_of_the_masks_is_refused(tmp_path):
    write_volume(tmp_path / "scans" / "a.nii", head_volume(6))
    write_volume(tmp_path / "masks" / "a.nii", mask(6, {0: 1, 1: 1, 2: 1}))
    (tmp_path / "labels.csv").write_text("scan,slice,any\na,6,1\na,3,0\n")
    with pytest.raises(
        InputError, match="of 3 slices with voxels in a mask, at most 1 are positive in the table"
    ):
        opened(tmp_path, tmp_path / "labels.csv")


def test_a_table_of_volumes_labels_scans_and_leaves_slices_unknown(tmp_path):
    for name in ("007", "008", "009"):
        write_volume(tmp_path / f"{name}.nii", head_volume(2))
    (tmp_path / "labels.csv").write_text("id,edh,iph,ivh,sah,sdh\n7,1,0,0,0,0\n8,0,0,0,0,0\n10,0,0,0,0,0\n")
    source = opened(tmp_path)
    assert source.entries[list(LABELS)].isna().all(axis=None)
    assert source.entries["scan_epidural"].tolist() == [1, 1, 0, 0]
    assert source.entries["scan_any"].tolist() == [1, 1, 0, 0]
    found = reasons(source)
    assert found["10"].startswith("labels without a file")
    assert found["009.nii (slice 2 from the feet)"].startswith("a file without labels")
    assert source.notes[0] == "labels.csv has labels of whole scans; those of their slices are unknown."


def test_volumes_without_labels_say_what_is_missing(tmp_path):
    write_volume(tmp_path / "a.nii", head_volume(2))
    with pytest.raises(InputError, match=r"no CSV with labels here; .* or put a mask"):
        opened(tmp_path)
    (tmp_path / "labels.csv").write_text("id,any\nb,1\n")
    with pytest.raises(NothingUsable, match=r"names its images as 'b', the folder as 'a.nii"):
        opened(tmp_path)


def test_a_store_of_volumes_has_their_scans_in_order_and_can_be_repeated(tmp_path):
    axial = {name: head_volume(4, 32, seed) for seed, name in enumerate("abcdef")}
    for number, (name, volume) in enumerate(axial.items()):
        write_volume(tmp_path / "in" / "images" / f"{name}.nii.gz", volume, list(EIGHT.values())[number])
        write_volume(
            tmp_path / "in" / "masks" / f"{name}.nii.gz", np.repeat(mask(4, {1: number}), 2, 1).repeat(2, 2)
        )
    (tmp_path / "in" / "images" / "f.nii.gz").write_bytes(b"\x1f\x8b damaged")
    options = PrepareOptions(size=32, folds=2, workers=2, mask_classes=CLASSES, max_rejected=0.1)
    made = prepare(tmp_path / "in", tmp_path / "store", options)
    store = made.store
    assert made.rejected["file"].tolist() == ["images/f.nii.gz"]
    assert store.info.reading == {"mask_classes": CLASSES}
    assert not store.info.patients_known
    assert store.scans.table["spacing_mm"].tolist() == pytest.approx([5] * 5)
    for scan in range(len(store.scans)):
        rows = store.scans.rows(scan)
        name = store.table["series_id"].iloc[rows[0]].removeprefix("images/")
        np.testing.assert_array_equal(store.hu[rows], axial[name])
    assert store.labels[:, 5].sum() == 4  # a's mask is empty


def test_real_slices_as_images_and_as_volumes_make_the_same_store(ct_ich, tmp_path):
    table = pd.read_csv(ct_ich / "hemorrhage_diagnosis.csv")
    positive = table.loc[table["No_Hemorrhage"] == 0, "PatientNumber"].unique()
    chosen = [number for number in positive if (ct_ich / "Patients_CT" / f"{number:03d}").is_dir()][:2]
    table = table[table["PatientNumber"].isin(chosen)].sort_values(["PatientNumber", "SliceNumber"])
    images, volumes = tmp_path / "images", tmp_path / "volumes"
    for number, codes in zip(chosen, ("LAS", "SRP"), strict=True):
        folder = images / "Patients_CT" / f"{number:03d}"
        shutil.copytree(ct_ich / "Patients_CT" / f"{number:03d}", folder)
        own = table["PatientNumber"] == number
        files = [folder / "brain" / f"{k}.jpg" for k in table.loc[own, "SliceNumber"]]
        hu = np.stack([read_image(file, WINDOWS["brain"]).hu for file in files])
        marked = np.zeros(hu.shape, np.uint8)
        marked[table.loc[own, "No_Hemorrhage"] == 0, 300, 300] = 255
        hu[:, 0, 0] = -1000  # without air it would be refused as a windowed image
        for file, values in (("ct_scans", hu), ("masks", marked)):
            write_volume(volumes / file / f"{number:03d}.nii", values, codes)
    table.to_csv(images / "hemorrhage_diagnosis.csv", index=False)
    table.to_csv(volumes / "hemorrhage_diagnosis_raw_ct.csv", index=False)
    options = PrepareOptions(size=64, all_test=True, workers=1)
    one, other = (
        prepare(tmp_path / kind, tmp_path / f"{kind}-store", options).store for kind in ("images", "volumes")
    )
    order = [store.table["slice_id"].argsort().to_numpy() for store in (one, other)]
    np.testing.assert_array_equal(one.labels[order[0]], other.labels[order[1]])
    np.testing.assert_array_equal(one.hu[order[0]][:, 2:], other.hu[order[1]][:, 2:])
