"""A space for searches that take seconds."""

from pathlib import Path

from ichtune.space import Space

SMALL = {
    "name": "small",
    "metric": "auc",
    "model": {"backbone": "resnet18", "weights": "random", "size": 32, "dropout": {"uniform": [0.0, 0.5]}},
    "optimizer": {
        "choice": [
            {"name": "adam", "lr": {"loguniform": [1e-4, 1e-2]}},
            {"name": "sgd", "lr": {"loguniform": [1e-3, 1e-1]}},
        ]
    },
    "augmentation": {"choice": ["normal", "moderate"]},
    "training": {"epochs": 3, "batch_size": 8},
    "points": {"baseline": {"optimizer": {"name": "adam", "lr": 1e-3}}},
}

USUAL = Space.load(Path(__file__).with_name("usual.yaml"))
"""What made-up searches vary: choices with branches, ranges and named points."""
