"""Exported models, run by the software that they are for."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pydicom
import pytest
import torch
from torch import nn

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.calibration import Calibration
from ichtune.inference.export.export import FORMATS, export
from ichtune.inference.export.formats import Format, Write, load_torchscript, write_torchscript
from ichtune.inference.export.verify import Sample
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.recipe import GRU, LSTM, MLP, Attention, Conv, Head, Linear, Model, Recipe, Training
from tests.made_up.dicom import write_rsna
from tests.made_up.models import CNN5, write_ensemble_folder, write_model_folder

CALIBRATION = Calibration(
    method="platt",
    slopes=dict.fromkeys(LABELS, 0.5),
    intercepts={label: place / 4 for place, label in enumerate(LABELS)},
    chosen="by hand",
)
HU = np.random.default_rng(7).integers(-1024, 200, (9, 32, 32)).astype(np.int16)


def recipe(head: Head, **model: object) -> Recipe:
    settings = {"backbone": "cnn5", "weights": "random", "size": 32, "windows": ("brain",)} | model
    return Recipe(model=Model(**settings), head=head, training=Training(precision="float32"))


def run(file: Path, hu: np.ndarray) -> list[np.ndarray]:
    """Logits and probabilities of HU `[n, K, S, S]` by the software that a file is for."""
    if file.suffix == ".onnx":
        return onnxruntime.InferenceSession(file).run(None, {"hounsfield_units": hu.astype(np.float32)})
    with pytest.warns(FutureWarning, match="deprecated"):
        model = torch.jit.load(file)
    return [each.numpy() for each in model(torch.from_numpy(hu.astype(np.float32)))]


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
@pytest.mark.parametrize(
    "recipe",
    [
        recipe(Linear(normalize="layer"), windows=("brain", "subdural")),
        recipe(MLP(hidden=8), backbone="timm/vit_tiny_patch16_224", windows=("brain", "subdural", "bone")),
        recipe(GRU(hidden=4, differences=True)),
        recipe(LSTM(hidden=4, layers=2)),
        recipe(Attention(hidden=8, heads=2)),
        recipe(Conv(hidden=4), backbone="efficientnet_lite0"),
    ],
    ids=["linear", "mlp", "gru", "lstm", "attention", "conv"],
)
def test_an_exported_model_says_what_the_original_says_of_any_number_of_slices(recipe, to, tmp_path):
    folder = write_model_folder(tmp_path / "m", recipe, calibration=CALIBRATION)
    made = export(folder, to)
    assert made.path.parent == folder
    model = TrainedModel.open(folder, torch.device("cpu"))
    for count in (1, 9):
        logits, probabilities = run(made.path, HU[:count, None])
        assert logits == pytest.approx(model.logits(HU[:count]), abs=1e-4)
        assert probabilities == pytest.approx(model.predict(HU[:count]), abs=1e-4)


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_an_exported_ensemble_is_the_mean_of_its_calibrated_members(to, tmp_path):
    folder = write_ensemble_folder(tmp_path / "both", calibration=CALIBRATION)
    _, probabilities = run(export(folder, to).path, HU[:, None])
    assert probabilities == pytest.approx(TrainedModel.open(folder).predict(HU), abs=1e-4)


def test_neighbouring_slices_are_channels_of_the_input_from_the_feet_towards_the_head(tmp_path):
    folder = write_model_folder(tmp_path / "m", recipe(Linear(), neighbours=1))
    file = export(folder, "onnx").path
    hu = np.stack([np.stack([HU[max(i - 1, 0)], HU[i], HU[min(i + 1, 8)]]) for i in range(9)])
    scans = Sample(HU, "").scans
    assert run(file, hu)[1] == pytest.approx(TrainedModel.open(folder).predict(HU, scans=scans), abs=1e-4)


def test_the_file_says_what_goes_in_and_what_comes_out(tmp_path):
    file = export(write_model_folder(tmp_path / "m", CNN5), "onnx", tmp_path / "x.onnx").path
    model = onnx.load(file)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert [entry.name for entry in model.graph.input] == ["hounsfield_units"]
    assert [entry.name for entry in model.graph.output] == ["logits", "probabilities"]
    assert json.loads(said["labels"]) == list(LABELS)
    assert json.loads(said["input"])["units"] == "Hounsfield units"
    assert json.loads(said["input"])["shape"] == ["slices", 1, 32, 32]
    assert json.loads(said["thresholds"]) == dict.fromkeys(LABELS, 0.5)
    assert "no medical device" in said["intended_use"]
    assert model.opset_import[0].version == 18


def test_monai_runs_a_bundle_on_dicom_files(tmp_path):
    source = write_rsna(tmp_path / "rsna", size=32)
    folder = write_model_folder(tmp_path / "m", CNN5, calibration=CALIBRATION)
    bundle = export(folder, "monai-bundle").path
    # Without the package fire, which only MONAI's command line needs.
    code = "import sys, monai.bundle; monai.bundle.run(**dict(each.split('=') for each in sys.argv[1:]))"
    given = {"config_file": "configs/inference.json", "bundle_root": ".", "dataset_dir": source}
    words = [f"{name}={value}" for name, value in (given | {"output_file": tmp_path / "out.csv"}).items()]
    subprocess.run([sys.executable, "-c", code, *words], cwd=bundle, check=True, timeout=120)
    table = pd.read_csv(tmp_path / "out.csv")
    model = TrainedModel.open(folder)
    assert len(table) > 5
    for _, row in table.iloc[::7].iterrows():
        slice_ = pydicom.dcmread(row["file"])
        hu = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
        expected = model.predict(np.rint(hu).astype(np.int16)[None])[0]
        assert row[list(LABELS)].to_numpy(float) == pytest.approx(expected, abs=1e-4)


def test_a_bundle_describes_its_network_as_monais_schema_asks(tmp_path):
    bundle = export(write_model_folder(tmp_path / "m", CNN5), "monai-bundle").path
    said = json.loads((bundle / "configs" / "metadata.json").read_text())
    # The required properties of meta_schema_20240725.json.
    needed = "schema version monai_version pytorch_version numpy_version required_packages_version task description"
    assert {*needed.split(), "authors", "copyright", "network_data_format"} <= set(said)
    for tensor in (
        *said["network_data_format"]["inputs"].values(),
        said["network_data_format"]["outputs"]["pred"],
    ):
        assert {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"} <= set(tensor)
    assert list(said["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == list(LABELS)


def test_an_export_is_compared_on_the_slices_of_a_store(tmp_path):
    prepare(
        write_rsna(tmp_path / "rsna", size=32), tmp_path / "st", PrepareOptions(size=32, folds=2, workers=1)
    )
    made = export(write_model_folder(tmp_path / "m", CNN5), "torchscript", data=tmp_path / "st")
    assert made.compared_on.endswith(f"slices of {tmp_path / 'st'}")
    assert Sample.of(SliceStore.open(tmp_path / "st")).hu.dtype == np.int16


def wrong_by(added: float) -> Write:
    """Writes a TorchScript file whose probabilities are this much too large."""

    class Wrong(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, probabilities = self.model(hu)
            return logits, probabilities + added

    return lambda model, *others: write_torchscript(Wrong(model).eval(), *others)


@pytest.mark.parametrize(("added", "shown"), [(2e-4, "2.0e-04"), (np.nan, "nan")])
def test_a_file_that_says_something_else_is_refused(added, shown, tmp_path, monkeypatch):
    folder = write_model_folder(tmp_path / "m", CNN5)
    monkeypatch.setitem(FORMATS, "onnx", Format("model.ts", (wrong_by(added),), load_torchscript))
    with pytest.raises(
        InputError, match=f"differs from the model by {shown} on 32 made-up slices, more than 0.0001"
    ):
        export(folder, "onnx")
    assert not list(folder.glob("*.ts"))


def test_a_slower_file_is_written_where_the_faster_one_says_something_else(tmp_path, monkeypatch):
    folder = write_model_folder(tmp_path / "m", CNN5)
    writes = (wrong_by(2e-4), write_torchscript)
    monkeypatch.setitem(FORMATS, "onnx", Format("model.ts", writes, load_torchscript))
    made = export(folder, "onnx")
    assert made.refused == [pytest.approx(2e-4, abs=1e-6)]
    assert run(made.path, HU[:, None])[1] == pytest.approx(TrainedModel.open(folder).predict(HU), abs=1e-4)


def test_an_onnx_file_with_norms_of_their_own_says_the_same(tmp_path, monkeypatch):
    folder = write_model_folder(tmp_path / "m", recipe(Linear(), backbone="efficientnet_lite0"))
    together = export(folder, "onnx", tmp_path / "together.onnx").path
    monkeypatch.setitem(FORMATS, "onnx", FORMATS["onnx"]._replace(writes=FORMATS["onnx"].writes[1:]))
    apart = export(folder, "onnx", tmp_path / "apart.onnx").path
    assert len(onnx.load(apart).graph.node) > 2 * len(onnx.load(together).graph.node)
    assert run(apart, HU[:, None])[1] == pytest.approx(TrainedModel.open(folder).predict(HU), abs=1e-4)


@pytest.mark.parametrize(
    ("head", "to", "message"),
    [
        (Linear(), "onx", "--to: 'onx' is not one of onnx, torchscript, monai-bundle; did you mean 'onnx'"),
        (GRU(hidden=4), "monai-bundle", "sees several slices of a scan together.*use onnx or torchscript"),
    ],
)
def test_what_can_not_be_exported_is_refused_and_leaves_nothing_behind(head, to, message, tmp_path):
    folder = write_model_folder(tmp_path / "m", recipe(head))
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=message):
        export(folder, to)
    assert sorted(folder.iterdir()) == before
    with pytest.raises(InputError, match="no model here"):
        export(tmp_path)
