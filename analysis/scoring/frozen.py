"""What a search trained on a frozen backbone, put together again from the heads that the run kept and the bank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from analysis.ranking.trial import RankedTrial
from ichtune.bank.build import build
from ichtune.errors import InputError
from ichtune.models.heads import HeadState, make_heads
from ichtune.models.heads.saved import unpack
from ichtune.models.network import Network
from ichtune.progress import Report
from ichtune.runs.trial_folder import HEADS, kept_file
from ichtune.training.batches import Fold, Source
from ichtune.training.experiment import Experiment, open_store, units_of
from ichtune.training.predict import predict
from ichtune.training.units import Units


@dataclass(frozen=True)
class FrozenPredictor:
    """A trial's heads for one or more folds, on features without augmentation."""

    network: Network
    source: Source
    units: Units
    device: torch.device

    @classmethod
    def load(
        cls,
        trial: RankedTrial,
        experiment: Experiment,
        folds: Sequence[Fold],
        device: torch.device,
        report: Report = lambda *_: None,
    ) -> "FrozenPredictor":
        """Load the trial's heads; features that the bank lacks are computed.

        Raises:
            InputError: the trial kept no heads, or their file is damaged.
        """
        build(experiment.parts, progress=report)
        recipe = trial.record.recipe
        source = experiment.features(recipe.model_copy(update={"augmentation": "normal"}))
        network = Network(None, make_heads(recipe, source.width, [fold.index for fold in folds])).to(device)
        for place, fold in enumerate(folds):
            network.heads.load(place, kept_head(trial, fold))
        return cls(network, source, units_of(open_store(experiment.store), recipe.head), device)

    @property
    def trained_parameters(self) -> int:
        """The number of parameters of one fold's head."""
        return sum(parameter.numel() for parameter in self.network.heads.parameters_of(0))

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Each fold's logits of these slices, float32 `[folds, n, 6]`."""
        logits = predict(self.network, self.source, rows, device=self.device, units=self.units)
        return logits.cpu().numpy()


def kept_head(trial: RankedTrial, fold: Fold) -> HeadState:
    """The head that a trial kept for a fold, in the format of `Heads.load`.

    Raises:
        InputError: the trial kept no head, or its file is damaged.
    """
    folder = trial.record.folder
    file = kept_file(folder, HEADS, "choose another --rank")
    if file is None:
        raise InputError(
            f"{folder}: the trial kept no head, because its score was never defined; choose another --rank"
        )
    try:
        return unpack(load_file(file), fold.index)
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{file}: damaged ({error}); choose another --rank") from None
