"""A run's folder with scores written by hand, for what is told from scores and parameters alone."""

from pathlib import Path

import numpy as np
import optuna

from analysis.results import RankedResults
from ichtune.recipe import Recipe
from ichtune.runs.study import open_study
from ichtune.space import Space
from ichtune.space.walks import Params
from tests.made_up.records import epoch, new_run, request
from tests.made_up.runs import quality

ADAM = Space.parse(
    {
        "loss": {"choice": [{"name": "bce"}, {"name": "focal"}]},
        "optimizer": {"name": "adam", "lr": {"loguniform": [1e-5, 1e-2]}},
        "sampler": {"choice": ["shuffle", "oversample"]},
        "augmentation": {"choice": ["normal", "moderate", "aggressive"]},
    },
    "adam",
)
"""A space without branches."""


def run_by_hand(path: Path, space: Space, trials: list[tuple[Params, list[float | None]]]) -> RankedResults:
    """The ranking of trials given by their parameters and a score an epoch, of which the second is compared."""
    run = new_run(path, request(space, grace=2))
    open_study(run.journal, direction="minimize" if space.direction == "min" else "maximize")
    recipe = Recipe.parse({"training": {"epochs": 3}}, "by hand")
    for number, (params, scores) in enumerate(trials):
        folder = run.trial(f"{number:04d}")
        folder.begin(number, params, recipe, None, done=0)
        for place, score in enumerate(scores, 1):
            mean = {space.metric: np.nan if score is None else score}
            folder.add_epoch(epoch(place, mean, diverged=bool(score == np.inf)))
    return RankedResults.of(run)


def drawn(space: Space, count: int, seed: int = 0) -> list[Params]:
    """Parameters drawn from a space at random."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [space.suggest(study.ask()) for _ in range(count)]


def searched(path: Path, space: Space, count: int, *, sign: int = 1, seed: int = 0) -> RankedResults:
    """A search at random in which a score is a fifth of the recipe's made-up quality, but for a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.01, count)
    params = drawn(space, count, seed)
    scores = [1 + sign * (quality(trial) / 5 + off) for trial, off in zip(params, noise, strict=True)]
    return run_by_hand(path, space, [(p, [s, s]) for p, s in zip(params, scores, strict=True)])
