"""Files that hold a model: writing one, and running it by the software that it is for."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.inference.about import About
from ichtune.inference.export.description import as_text
from ichtune.inference.export.graph import INPUT, OUTPUTS

OPSET: Final = 18
"""The version of ONNX's operators; ONNX Runtime knows it since 1.14 of 2023."""
_ONNX_PACKAGES: Final = ("onnx", "onnxruntime", "onnxscript")

Run = Callable[[np.ndarray], tuple[np.ndarray | None, np.ndarray]]
"""Logits, if the format has them, and probabilities, each `[n, 6]`, of Hounsfield units, float32 `[n, K, S, S]`."""


Write = Callable[[nn.Module, torch.Tensor, About, Path], None]
"""Writes a traceable model, given an example of its input and its description, to a path."""


class Format(NamedTuple):
    """A kind of file."""

    name: str
    """That of a file in the model's folder."""
    writes: tuple[Write, ...]
    """Ways to write one, from the fastest file to the one whose outputs are nearest to the model's."""
    load: Callable[[Path], Run]


def write_onnx(
    model: nn.Module, example: torch.Tensor, about: About, file: Path, *, optimize: bool = True
) -> None:
    """Write an ONNX file of any number of slices, with the model's description as its metadata.

    Optimized, its norms are part of its convolutions.

    Raises:
        InputError: the packages for it are not installed.
    """
    missing = [name for name in _ONNX_PACKAGES if not find_spec(name)]
    if missing:
        raise InputError(f"--to onnx: needs {', '.join(missing)}: pip install 'ichtune[onnxruntime]'")
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            model,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"hounsfield_units": {0: torch.export.Dim("slices")}},
            opset_version=OPSET,
            optimize=optimize,
            verbose=False,
        )
    assert program is not None  # as no file was named
    made = program.model_proto
    onnx.helper.set_model_props(made, as_text(about))
    made.doc_string = as_text(about)["intended_use"]
    onnx.checker.check_model(made)
    onnx.save(made, file)


def load_onnx(file: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, probabilities = session.run(list(OUTPUTS), {INPUT: hu})
        return np.asarray(logits), np.asarray(probabilities)

    return run


def write_torchscript(model: nn.Module, example: torch.Tensor, about: About, file: Path) -> None:
    """Write a TorchScript file of any number of slices, with the model's description as further files inside."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # TorchScript is no longer developed; and of tracing, which is checked after
        traced = torch.jit.trace(model, (example,), check_trace=False)
        texts = {f"{name}.json": text for name, text in as_text(about).items()}
        torch.jit.save(traced, str(file), _extra_files=texts)


def load_torchscript(file: Path) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.load(str(file))

    def run(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            logits, probabilities = model(torch.from_numpy(hu))
        return logits.numpy(), probabilities.numpy()

    return run
