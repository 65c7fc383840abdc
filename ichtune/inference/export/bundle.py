"""A MONAI bundle: https://docs.monai.io/en/stable/mb_specification.html."""

import importlib.metadata
import json
import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.inference.about import About
from ichtune.inference.export.description import described
from ichtune.inference.export.formats import Run, write_torchscript
from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import LABELS

_SCHEMA: Final = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
_METADATA, _INFERENCE, _NETWORK = "configs/metadata.json", "configs/inference.json", "models/model.ts"


class Probabilities(nn.Module):
    """The calibrated probabilities `[n, 6]` of a traceable model alone, as a bundle's network has one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model(image)[1]


def write_bundle(model: nn.Module, example: torch.Tensor, about: About, folder: Path) -> None:
    """Write a bundle whose inference reads DICOM slices and writes a table of probabilities.

    Raises:
        InputError: the model sees several slices together.
    """
    if about.recipe.head.reads_scans or about.preprocessing.neighbours:
        raise InputError(
            "--to monai-bundle: this model sees several slices of a scan together, while the inference of a bundle "
            "reads them one by one; use onnx or torchscript"
        )
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "docs").mkdir()
    network = Probabilities(model).eval()
    write_torchscript(network, example, about, folder / _NETWORK)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    for name, content in ((_METADATA, _metadata(about)), (_INFERENCE, _inference(about))):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (folder / "docs" / "README.md").write_text(_README.format(research_only=RESEARCH_ONLY))


def load_bundle(folder: Path) -> Run:
    """Load a bundle's network as MONAI does, after MONAI's own check of its inputs and outputs.

    Raises:
        ValueError: they aren't as the metadata say.
    """
    from monai.bundle import ConfigParser
    from monai.bundle.scripts import verify_net_in_out

    config, metadata = str(folder / _INFERENCE), str(folder / _METADATA)
    parser = ConfigParser()
    parser.read_config(config)
    parser.read_meta(metadata)
    parser["bundle_root"] = str(folder)
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is no longer developed
            verify_net_in_out("network_def", metadata, config, device="cpu", bundle_root=str(folder))
            network = parser.get_parsed_content("network_def")
    finally:
        logging.disable(logging.NOTSET)

    def run(hu: np.ndarray) -> tuple[None, np.ndarray]:
        with torch.no_grad():
            return None, network(torch.from_numpy(hu)).numpy()

    return run


def _metadata(about: About) -> dict[str, Any]:
    said, size = described(about), about.preprocessing.size
    versions = {
        name: importlib.metadata.version(name) for name in ("monai", "torch", "numpy", "pydicom", "pandas")
    }
    image = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": [size, size],
        "dtype": "float32",
        "value_range": [-1024, 3071],
        "is_patch_data": False,
        "channel_def": {"0": "Hounsfield units of a slice"},
    }
    prediction = {
        "type": "probabilities",
        "format": "classification",
        "num_channels": len(LABELS),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(place): label for place, label in enumerate(LABELS)},
    }
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported by ichtune"},
        "monai_version": versions.pop("monai"),
        "pytorch_version": versions.pop("torch"),
        "numpy_version": versions.pop("numpy"),
        "required_packages_version": versions,
        "name": "Intracranial hemorrhage on head CT slices",
        "task": "Probabilities of five kinds of intracranial hemorrhage, and of any, on a slice of a head CT",
        "description": "Exported from a model folder of ichtune, whose model card describes data and performance.",
        "authors": "not stated by the exporting software",
        "copyright": "not stated by the exporting software",
        "intended_use": RESEARCH_ONLY,
        "data_type": "dicom",
        "pred_classes": ", ".join(LABELS),
        "thresholds": said["thresholds"],
        "ichtune": said,
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
    }


def _inference(about: About) -> dict[str, Any]:
    size = about.preprocessing.size
    return {
        "imports": ["$import glob", "$import os", "$import pandas", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_file": "$@bundle_root + '/probabilities.csv'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "labels": list(LABELS),
        "files": "$sorted(glob.glob(os.path.join(@dataset_dir, '**', '*.dcm'), recursive=True))",
        "network_def": {
            "_target_": "torch.jit.load",
            "f": f"$@bundle_root + '/{_NETWORK}'",
            "map_location": "cpu",
        },
        "network": "$@network_def.to(@device).eval()",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                # PydicomReader applies the rescale slope and intercept; it would swap rows and columns.
                {"_target_": "LoadImaged", "keys": "image", "reader": "PydicomReader", "swap_ij": False},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Resized", "keys": "image", "spatial_size": [size, size], "mode": "area"},
                {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32", "track_meta": False},
            ],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "score": "$lambda file: @inferer(@preprocessing({'image': file})['image'][None].to(@device), @network)[0]",
        "rows": "$[[file, *map(float, @score(file))] for file in @files]",
        "run": ["$pandas.DataFrame(@rows, columns=['file', *@labels]).to_csv(@output_file, index=False)"],
    }


_README: Final = """# Intracranial hemorrhage on head CT slices

> {research_only}

Probabilities of the DICOM slices (`*.dcm`) below a folder, as a table:

```bash
pip install "monai[fire]" torch pydicom pandas
python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
    --dataset_dir FOLDER --output_file probabilities.csv
```

Slices are expected to be square, with square pixels, and with the patient's left on the right and the front on top: the
inference doesn't turn them. What goes in and comes out is described in `configs/metadata.json`. MONAI's area
resizing is that of the model where slices shrink by a whole number, such as from 512 to 256 pixels; otherwise pixels
differ slightly.
"""
