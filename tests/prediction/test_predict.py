"""Slices without labels get a row each, with the probabilities that the model gives to a prepared store of them."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.calibration import Calibration
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from tests.made_up.dicom import head, write_dicom, write_rsna
from tests.made_up.models import CNN5, write_ensemble_folder, write_model_folder
from tests.made_up.nifti import head_volume, write_volume

ONE_PROCESS = PredictOptions(workers=1)


@pytest.fixture(scope="module")
def rsna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans of three slices of 40 x 40 in one folder."""
    return write_rsna(tmp_path_factory.mktemp("rsna") / "rsna", patients=5, size=40)


@pytest.fixture(scope="module")
def store(rsna: Path, tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """The same slices, prepared at the models' size."""
    return prepare(
        rsna, tmp_path_factory.mktemp("store") / "store", PrepareOptions(size=32, all_test=True, workers=1)
    ).store


def predicted(
    models: Path | list[Path], given: Path, folder: Path, options: PredictOptions = ONE_PROCESS
) -> pd.DataFrame:
    out = folder / "predictions.parquet"
    predict([models] if isinstance(models, Path) else models, given, out, options)
    return pd.read_parquet(out)


@pytest.mark.parametrize("which", ["model", "scan_model"])
def test_files_get_the_probabilities_of_the_prepared_store(which, rsna, store, tmp_path, request):
    folder = request.getfixturevalue(which)
    found = predicted(folder, rsna, tmp_path).set_index(
        pd.Index(predicted_ids(tmp_path / "predictions.parquet"))
    )
    expected = TrainedModel.open(folder).predict(store.hu, scans=store.scans)
    assert len(found) == len(store) == 15
    np.testing.assert_allclose(found.loc[store.table["slice_id"], list(LABELS)], expected, atol=1e-4)


def predicted_ids(file: Path) -> pd.Series:
    """The names of files without folder and suffix, as RSNA's labels have them."""
    return pd.read_parquet(file)["file"].map(lambda name: Path(name).stem)


@pytest.mark.parametrize("which", ["model", "scan_model"])
def test_a_store_gets_the_probabilities_of_its_models(which, store, tmp_path, request):
    folder = request.getfixturevalue(which)
    found = predicted(folder, store.path, tmp_path).set_index("slice_id")
    expected = TrainedModel.open(folder).predict(store.hu, scans=store.scans)
    np.testing.assert_allclose(found.loc[store.table["slice_id"], list(LABELS)], expected, atol=1e-5)


def test_slices_of_a_scan_follow_each_other_from_the_feet_up(model, rsna, tmp_path):
    found = predicted(model, rsna, tmp_path)
    assert found["z_mm"].tolist() == [0, 5, 10] * 5
    assert found["patient_id"].tolist() == [f"ID_{k:08d}" for k in range(5) for _ in range(3)]
    assert found["study_id"].tolist() == [f"ID_study{k}" for k in range(5) for _ in range(3)]


def test_probabilities_are_calibrated_and_decided_by_the_models_thresholds(rsna, tmp_path):
    slopes, intercepts = dict.fromkeys(LABELS, 2.0), dict.fromkeys(LABELS, -1.0)
    calibration = Calibration(method="platt", slopes=slopes, intercepts=intercepts, chosen="by hand")
    thresholds = dict.fromkeys(LABELS, 0.5) | {"any": 0.0, "epidural": 0.99}
    folder = write_model_folder(tmp_path / "model", CNN5, calibration=calibration, thresholds=thresholds)
    found = predicted(folder, rsna, tmp_path)
    # A logit of 2 x - 1 is the probability p^2 / (p^2 + e (1 - p)^2) of p, the probability of x.
    p = found["raw_subdural"]
    np.testing.assert_allclose(found["subdural"], p**2 / (p**2 + np.e * (1 - p) ** 2), rtol=1e-6)
    assert (found["is_subdural"] == (found["subdural"] >= 0.5)).all()
    assert (found["is_any"] == 1).all()
    assert (found["is_epidural"] == 0).all()


def test_an_ensemble_predicts_what_it_does_in_python(rsna, store, tmp_path):
    slopes, intercepts = dict.fromkeys(LABELS, 3.0), dict.fromkeys(LABELS, -1.0)
    calibration = Calibration(method="platt", slopes=slopes, intercepts=intercepts, chosen="by hand")
    folder = write_ensemble_folder(tmp_path / "ensemble", calibration=calibration)
    found = predicted(folder, store.path, tmp_path).set_index("slice_id").loc[store.table["slice_id"]]
    model = TrainedModel.open(folder)
    np.testing.assert_allclose(found[list(LABELS)], model.predict(store.hu), atol=1e-6)
    raw = 1 / (1 + np.exp(-model.logits(store.hu)))
    np.testing.assert_allclose(found[[f"raw_{label}" for label in LABELS]], raw, atol=1e-6)


def test_a_bad_file_is_a_row_with_its_reason_and_without_probabilities(model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=2, size=32)
    (root / "stage_2_train" / "ID_000100001.dcm").write_bytes(b"no DICOM")
    scout = root / "stage_2_train" / "scout.dcm"
    write_dicom(scout, head((32, 32), 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], PatientID="P9")
    made = predict([model], root, tmp_path / "predictions.csv", ONE_PROCESS)
    found = pd.read_csv(made.file).set_index("slice_id")
    assert (made.slices, made.unread) == (5, 2)
    bad = found[found["reason"].notna()]
    assert set(bad.index) == {"stage_2_train/ID_000100001", "stage_2_train/scout"}
    assert "not a DICOM file" in bad["reason"]["stage_2_train/ID_000100001"]
    assert "localizer" in bad["reason"]["stage_2_train/scout"]
    assert bad[[*LABELS, "is_any", "raw_any"]].isna().all(axis=None)
    assert found.drop(bad.index)[[*LABELS, "is_any", "raw_any"]].notna().all(axis=None)


def test_nothing_readable_is_an_error_and_the_reasons_are_kept(ichtune, model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(b"no DICOM")
    code, _, errors = ichtune("predict", model, tmp_path / "in", "--out", tmp_path / "p.csv", "--workers", 1)
    assert code == 2
    assert "none of the 1 slices can be predicted (the first: a.dcm: not a DICOM file" in errors
    assert "not a DICOM file" in (tmp_path / "p.csv").read_text()


def test_the_command_counts_what_was_not_readable_and_says_what_it_is_for(ichtune, model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=2, size=32)
    (root / "stage_2_train" / "ID_000100001.dcm").write_bytes(b"no DICOM")
    code, output, errors = ichtune("predict", model, root, "--out", tmp_path / "p.csv", "--workers", 1)
    assert code == 0, errors
    assert "1 slice without a prediction" in output
    assert "no medical device" in output
    assert "no medical device" in (tmp_path / "p.csv").read_text()


def test_volumes_are_scans_and_their_masks_are_left_out(scan_model, tmp_path):
    write_volume(tmp_path / "in" / "a.nii.gz", head_volume(4, seed=1))
    write_volume(tmp_path / "in" / "b.nii", head_volume(3, seed=2))
    (tmp_path / "in" / "c.nii").write_bytes(b"no volume")
    write_volume(tmp_path / "in" / "masks" / "a.nii.gz", (head_volume(4) > 20).astype(np.uint8))
    made = predict([scan_model], tmp_path / "in", tmp_path / "p.parquet", ONE_PROCESS)
    found = pd.read_parquet(made.file)
    assert found["series_id"].tolist() == ["a"] * 4 + ["b"] * 3 + ["c"]
    assert found["slice_id"].tolist()[:4] == ["a_001", "a_002", "a_003", "a_004"]
    assert found["z_mm"].tolist()[:4] == [3, 8, 13, 18]
    assert (found["reason"] == "").tolist() == [True] * 7 + [False]
    assert any("1 mask beside the scans" in note for note in made.notes)


def test_images_are_predicted_by_their_window_each_for_itself(model, scan_model, tmp_path):
    grey = np.tile(np.arange(0, 256, 8, np.uint8), (32, 1))
    for name in ("a.png", "b.png"):
        Image.fromarray(grey).save(tmp_path / name)
    found = predicted(model, tmp_path, tmp_path)
    # Grey g of 0..255 in the window 40/80 is 80 g / 255 HU.
    hu = np.rint(grey[None] * (80 / 255)).astype(np.int16)
    np.testing.assert_allclose(
        found.loc[0, list(LABELS)].astype(float), TrainedModel.open(model).predict(hu)[0], atol=1e-4
    )
    (tmp_path / "predictions.parquet").unlink()
    both = predicted(scan_model, tmp_path, tmp_path)
    np.testing.assert_array_equal(both.loc[0, list(LABELS)], both.loc[1, list(LABELS)])


def test_several_models_give_the_mean_of_their_probabilities_each_at_its_own_size(model, rsna, tmp_path):
    larger = CNN5.model_copy(update={"model": CNN5.model.model_copy(update={"size": 40})})
    other = write_model_folder(tmp_path / "other", larger, seed=1, thresholds=dict.fromkeys(LABELS, 0.3))
    apart = []
    for number, one in enumerate((model, other)):
        (tmp_path / str(number)).mkdir()
        apart.append(predicted(one, rsna, tmp_path / str(number)))
    both = predicted([model, other], rsna, tmp_path)
    mean = (apart[0][list(LABELS)] + apart[1][list(LABELS)]) / 2
    np.testing.assert_allclose(both[list(LABELS)], mean, atol=1e-6)
    assert (both["is_any"] == (mean["any"] >= 0.4)).all()


def test_several_processes_give_the_same_rows(model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=12, slices=6, size=16)  # more than two chunks
    alone = predicted(model, root, tmp_path)
    pd.testing.assert_frame_equal(
        predicted(model, root, tmp_path, PredictOptions(workers=2, overwrite=True)), alone
    )


def test_one_series_of_a_study_is_chosen_and_all_can_be(model, tmp_path):
    (tmp_path / "in").mkdir()
    for series, thickness, kernel in (("1.2.1", 5, "H30s"), ("1.2.2", 1, "H60s")):
        for number in range(20):
            write_dicom(
                tmp_path / "in" / f"{series}.{number}.dcm",
                head((32, 32), number),
                SeriesInstanceUID=series,
                SliceThickness=thickness,
                ConvolutionKernel=kernel,
                ImagePositionPatient=[0, 0, thickness * number],
            )
    made = predict([model], tmp_path / "in", tmp_path / "p.parquet", ONE_PROCESS)
    assert pd.read_parquet(made.file)["series_id"].unique().tolist() == ["1.2.1"]
    assert any("not used: 20 in 1 series. --series all" in note for note in made.notes)
    every = predicted(model, tmp_path / "in", tmp_path, PredictOptions(series="all", workers=1))
    assert every["series_id"].value_counts().to_dict() == {"1.2.1": 20, "1.2.2": 20}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}", "{tmp}/gone"], "gone: no such file or folder to predict"),
        (["{model}", "{tmp}"], "no DICOM, NIfTI, PNG or JPEG files here"),
        (["{model}", "{tmp}/study.zip"], "study.zip: a zip archive; unpack it, and name the folder"),
        (["{tmp}"], "one path is given; give the folders of models, then what to predict"),
        (["{tmp}", "{tmp}"], "no model here (no model.yaml)"),
        (["{model}", "{tmp}", "--out", "{tmp}/p.txt"], "p.txt: must end in .csv or .parquet"),
        (
            ["{model}", "{tmp}", "--tta", "flip"],
            "--tta 'flip' is not one of flips, shifts; did you mean 'flips'?",
        ),
        (["{model}", "{tmp}", "--window", "foggy"], "window 'foggy' is neither C/W"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(ichtune, model, tmp_path, arguments, message):
    words = [word.format(model=model, tmp=tmp_path) for word in arguments]
    ZipFile(tmp_path / "study.zip", "w").close()
    code, _, errors = ichtune("predict", *([] if "--out" in words else ["--out", tmp_path / "p.csv"]), *words)
    assert code == 2
    assert errors.startswith("error: ")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_finished_predictions_are_kept_unless_they_may_be_replaced(model, rsna, tmp_path):
    predicted(model, rsna, tmp_path)
    with pytest.raises(
        InputError, match="finished predictions are already here; replace them with --overwrite"
    ):
        predicted(model, rsna, tmp_path)
    assert len(predicted(model, rsna, tmp_path, PredictOptions(workers=1, overwrite=True))) == 15


def test_real_slices_give_what_their_store_gives(model, ct_ich, rsna_maker, tmp_path):
    import subprocess
    import sys

    root = tmp_path / "rsna"
    subprocess.run(
        [sys.executable, rsna_maker, root, "--source", ct_ich, "--patients", "2"],
        check=True,
        capture_output=True,
    )
    options = PrepareOptions(size=32, all_test=True, workers=1, max_rejected=1)
    store = prepare(root, tmp_path / "store", options).store
    found = predicted(model, root, tmp_path).set_index(predicted_ids(tmp_path / "predictions.parquet"))
    expected = TrainedModel.open(model).predict(store.hu)
    np.testing.assert_allclose(found.loc[store.table["slice_id"], list(LABELS)], expected, atol=1e-4)
