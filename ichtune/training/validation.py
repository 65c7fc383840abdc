"""Validation of all folds after an epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ichtune.models.network import Network
from ichtune.training.batches import Fold, Source
from ichtune.training.losses import MaskedLoss
from ichtune.training.predict import predict
from ichtune.training.team import ALONE, Team
from ichtune.training.units import Units


def validate(
    network: Network,
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    loss: MaskedLoss,
    *,
    units: Units,
    batch_size: int,
    team: Team = ALONE,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return each fold's validation logits, float32 `[n_f, 6]`, and the losses `[F]`, NaN without a known label.

    About `batch_size` slices go through the network at a time.
    """
    device = next(network.parameters()).device
    logits = [
        predict(
            network,
            source,
            fold.valid,
            device=device,
            head=head,
            units=units,
            batch_size=batch_size,
            team=team,
        )[0]
        for head, fold in enumerate(folds)
    ]
    truth = [labels[fold.valid] for fold in folds]
    losses = loss(
        pad_sequence(logits, batch_first=True),
        pad_sequence(
            [torch.from_numpy(own).to(device) for own in truth],
            batch_first=True,
            padding_value=float("nan"),
        ),
    )
    known = [not np.isnan(own).all() for own in truth]
    return [fold.cpu().numpy() for fold in logits], np.where(known, losses.cpu().numpy(), np.nan)
