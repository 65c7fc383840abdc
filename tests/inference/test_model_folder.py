"""A model's folder holds all that it takes to read probabilities off slices, and is refused when it does not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit, logit
from torchvision.models import resnet18

from ichtune.errors import InputError
from ichtune.inference.about import ModelError, Preprocessing, write_about
from ichtune.inference.calibration import Calibration
from ichtune.inference.model_folder import write_ensemble
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.yaml_text import read_yaml, write_yaml
from tests.made_up.models import RECIPE, write_model_folder

HU = np.random.default_rng(3).integers(-50, 250, (5, 32, 32)).astype(np.int16)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder; nobody writes into it."""
    return write_model_folder(tmp_path_factory.mktemp("written") / "model")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of it for one test alone."""
    return Path(shutil.copytree(written, tmp_path / "model"))


def test_a_model_computes_what_torchvision_does_with_its_weights(folder: Path):
    weights = load_file(folder / "weights.safetensors")
    network = resnet18(num_classes=6).eval()
    network.load_state_dict(
        {key[17:]: tensor for key, tensor in weights.items() if key.startswith("backbone.network.")}
        | {"fc.weight": weights["head.weight"], "fc.bias": weights["head.bias"]}
    )
    # Window 80/200 is -20..180 HU, seen in 255 steps; random weights go with mean and deviation 0.5.
    grey = torch.from_numpy(np.rint(np.clip((HU + 20) / 200, 0, 1) * 255)).float() / 255
    with torch.no_grad():
        expected = network(((grey - 0.5) / 0.5)[:, None].repeat(1, 3, 1, 1)).sigmoid()

    np.testing.assert_allclose(TrainedModel.open(folder).predict(HU), expected, atol=1e-5)


def test_rows_choose_slices(folder: Path):
    model, rows = TrainedModel.open(folder), np.array([4, 1, 1])
    np.testing.assert_allclose(model.predict(HU, rows), model.predict(HU[rows]))
    assert model.predict(HU, rows[:0]).shape == (0, 6)


def test_the_network_takes_images_and_has_nothing_left_to_train(folder: Path):
    model = TrainedModel.open(folder)
    assert model.networks[0](torch.rand(2, 1, 32, 32)).shape == (2, 6)
    assert not any(parameter.requires_grad for parameter in model.networks[0].parameters())


def test_a_model_does_not_need_the_weights_that_its_training_started_from(tmp_path: Path):
    model = RECIPE.model.model_copy(update={"weights": "/gone/radimagenet.pth"})
    folder = write_model_folder(tmp_path / "model", RECIPE.model_copy(update={"model": model}))
    assert TrainedModel.open(folder).about.recipe.model.weights == "/gone/radimagenet.pth"


def test_a_model_tells_its_labels_windows_and_thresholds(folder: Path):
    model = TrainedModel.open(folder)
    assert model.about.labels[-1] == "any"
    assert model.about.preprocessing == Preprocessing(windows=("80/200",), size=32)
    assert model.thresholds.tolist() == [0.5] * 6


def test_a_model_without_out_of_fold_predictions_keeps_one_half_and_says_so(folder: Path):
    about = TrainedModel.open(folder).about
    assert about.thresholds_chosen == "0.5 for every label, as nothing was chosen on out-of-fold predictions"
    assert about.calibration.chosen == "not calibrated, as nothing was fitted on out-of-fold predictions"


def test_probabilities_are_calibrated_and_logits_are_not(folder: Path):
    before = TrainedModel.open(folder)
    slopes, intercepts = [0.5, 1.0, 2.0, 1.0, 1.0, 0.25], [0.0, -1.0, 0.5, 0.0, 0.0, 3.0]
    calibration = Calibration(
        method="platt",
        slopes=dict(zip(LABELS, slopes, strict=True)),
        intercepts=dict(zip(LABELS, intercepts, strict=True)),
        chosen="by hand",
    )
    write_about(folder, before.about.model_copy(update={"calibration": calibration}))
    after = TrainedModel.open(folder)
    logits = before.logits(HU)
    np.testing.assert_array_equal(after.logits(HU), logits)
    expected = 1 / (1 + np.exp(-(logits.astype(float) * slopes + intercepts)))
    np.testing.assert_allclose(after.predict(HU), expected)


def test_a_model_says_the_same_whatever_precision_it_was_trained_in(folder: Path):
    about = TrainedModel.open(folder).about
    logits = []
    for precision in ("bfloat16", "float32"):
        training = about.recipe.training.model_copy(update={"precision": precision})
        recipe = about.recipe.model_copy(update={"training": training})
        write_about(folder, about.model_copy(update={"recipe": recipe}))
        logits.append(TrainedModel.open(folder).logits(HU))
    np.testing.assert_array_equal(*logits)


def test_a_model_of_the_format_before_calibration_predicts_as_it_did(folder: Path):
    predicted = TrainedModel.open(folder).predict(HU)
    file = folder / "model.yaml"
    about = read_yaml(file)
    for added in ("calibration", "calibrated", "thresholds_by", "sensitivity"):
        del about[added]
    file.write_text(write_yaml(about | {"format": 1}))
    model = TrainedModel.open(folder)
    np.testing.assert_array_equal(model.predict(HU), predicted)
    assert model.about.calibration.method == "none"


def ensemble_of_two(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write an ensemble of two models whose calibration halves logits; the mean of their calibrated probabilities, and
    the calibrated mean of their probabilities, which formats before the third predict."""
    members = [write_model_folder(folder / name, seed=seed) for seed, name in enumerate(("a", "b"))]
    about = TrainedModel.open(members[0]).about.model_dump()
    halved = Calibration(
        method="temperature",
        slopes=dict.fromkeys(LABELS, 0.5),
        intercepts=dict.fromkeys(LABELS, -2.0),
        chosen="by hand",
    )
    shared = {key: about[key] for key in ("preprocessing", "recipe", "fingerprint", "origin", "versions")}
    write_ensemble(folder, ["a", "b"], calibration=halved, **shared)
    logits = np.stack([TrainedModel.open(member).logits(HU).astype(float) for member in members])
    mean = expit(logits).mean(axis=0)
    return expit(logits / 2 - 2).mean(axis=0), expit(logit(mean) / 2 - 2)


def test_an_ensemble_averages_the_calibrated_probabilities_of_its_members(tmp_path: Path):
    expected, _ = ensemble_of_two(tmp_path)
    model = TrainedModel.open(tmp_path)
    np.testing.assert_allclose(model.predict(HU), expected, rtol=1e-6)
    assert model.predict(HU, np.arange(0)).shape == (0, 6)


def test_an_ensemble_of_the_format_before_still_calibrates_the_mean(tmp_path: Path):
    now, before = ensemble_of_two(tmp_path)
    file = tmp_path / "model.yaml"
    about = read_yaml(file)
    del about["calibrated"]
    file.write_text(write_yaml(about | {"format": 2}))
    assert np.abs(now - before).max() > 1e-6
    np.testing.assert_allclose(TrainedModel.open(tmp_path).predict(HU), before, rtol=1e-5)


def test_slices_that_are_not_hounsfield_units_are_refused(folder: Path):
    with pytest.raises(ValueError, match=r"int16 \[n, S, S\], got float32 \[5, 32, 32\]"):
        TrainedModel.open(folder).predict(HU.astype(np.float32))


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no model here \(no model\.yaml\)"):
        TrainedModel.open(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format: 3", "format: 4", "has model format 4, this ichtune reads 1 to 3"),
        ("epidural: 1.0", "epidural: -1.0", r"damaged \(calibration.slopes.epidural"),
        ("subdural: 1.0", "subdurals: 1.0", "slopes and intercepts must be those of epidural"),
        ("[epidural,", "[subdural,", "labels and thresholds must be those of epidural, intraparenchymal"),
        ("any: 0.5", "any: 1.5", r"damaged \(thresholds.any"),
        ("80/200", "80/0", "window '80/0'"),
        ("backbone: resnet18", "backbone: resnet34", "not the weights of a resnet34"),
        ("seed: 0", "seed: !!python/object/apply:os.getpid []", r"a tag \(.*getpid\); only plain values"),
    ],
)
def test_a_changed_description_is_refused(folder: Path, old: str, new: str, message: str):
    file = folder / "model.yaml"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        TrainedModel.open(folder)


def test_weights_cut_short_missing_or_of_another_model_are_refused(folder: Path, tmp_path: Path):
    file, other = folder / "weights.safetensors", write_model_folder(tmp_path / "other", seed=1)
    for content in (file.read_bytes()[:-100], (other / "weights.safetensors").read_bytes()):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="damaged, or not the weights of"):
            TrainedModel.open(folder)
    file.unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        TrainedModel.open(folder)
