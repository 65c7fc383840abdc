"""Averages of the weights of a recipe's seeds: the greedy soup of fine-tuned models (Wortsman et al., ICML 2022).

All seeds of a fold start from the same weights and the same head. Running statistics of batch normalisation are
averaged like weights, so where an average needs others, it scores worse and is not chosen.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import numpy as np
import torch

from analysis.retraining.plan import RetrainPlan
from analysis.retraining.resumable import ResumableTraining
from analysis.scoring.comparison import score
from ichtune.metrics import higher_is_better
from ichtune.models.network import Network
from ichtune.training.losses import make_loss
from ichtune.training.predict import predict

Seeds = tuple[int, ...]
State = dict[str, torch.Tensor]


def greedy(seeds: int, value: Callable[[Seeds], float]) -> Seeds:
    """Begin with the best seed, and add each next best one that doesn't lower the value of the average of all."""
    order = sorted(range(seeds), key=lambda seed: -value((seed,)))
    chosen: Seeds = (order[0],)
    for seed in order[1:]:
        more = tuple(sorted((*chosen, seed)))
        if value(more) >= value(chosen):
            chosen = more
    return chosen


def mean_state(states: Sequence[State]) -> State:
    """The mean of states of the same network; counters are those of the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


class Soup:
    """The greedy soup of each fold's seeds, all folds with the same ones: those that score best out of fold."""

    def __init__(
        self, plan: RetrainPlan, trainings: Sequence[ResumableTraining], device: torch.device
    ) -> None:
        """`trainings` are those of each fold, seed after seed, with the weights of their own best epochs."""
        self.plan, self.trainings, self.device = plan, trainings, device
        self.logits = lru_cache(maxsize=None)(self._logits)
        self._values = lru_cache(maxsize=None)(self._value)

    @cached_property
    def seeds(self) -> Seeds:
        """The seeds whose weights are averaged."""
        return self._chosen(range(len(self.plan.folds)))

    @cached_property
    def by_others(self) -> list[Seeds]:
        """For each fold, the seeds that the other folds choose: no fold chooses what it is scored by."""
        return [self._chosen(self._others(place)) for place in range(len(self.plan.folds))]

    @property
    def out_of_fold(self) -> list[np.ndarray]:
        """Each fold's logits of its validation slices, `[n_f, 6]`, by the soup that the other folds choose."""
        return [self.logits(place, seeds) for place, seeds in enumerate(self.by_others)]

    @property
    def scores(self) -> tuple[float, float]:
        """The plan's metric out of fold: of the best seed alone and of the soup, both chosen by the other folds."""
        places = range(len(self.plan.folds))
        alone = [max(self._alone, key=lambda seeds: self._mean(seeds, self._others(k))) for k in places]
        both = [
            float(np.mean([self._values(place, seeds) for place, seeds in enumerate(of)]))
            for of in (alone, self.by_others)
        ]
        return self._sign * both[0], self._sign * both[1]

    @property
    def helps(self) -> bool:
        """Whether it is an average, and scores better out of fold than the best seed alone."""
        alone, soup = (self._sign * value for value in self.scores)
        return len(self.seeds) > 1 and soup > alone

    @property
    def remark(self) -> str:
        """What came of it, in words."""
        alone, soup = self.scores
        metric = f"{self.plan.metric} {soup:.4f} out of fold, the best seed alone {alone:.4f}"
        said = f"{metric}, each chosen by the other folds"
        if not self.helps:
            return f"no soup is kept, as averages of the seeds' weights don't score better ({said})"
        seeds = ", ".join(map(str, self.seeds))
        return f"the average of the weights of seeds {seeds} is kept as {self.plan.soup_folder.name} ({said})"

    def network(self, place: int, seeds: Seeds) -> Network:
        """A fold's network with the mean weights of these seeds."""
        of = [place * self.plan.options.seeds + seed for seed in seeds]
        network = self.plan.members[of[0]].network()
        network.load_trained_state(mean_state([self.trainings[index].weights for index in of]))
        return network

    def _chosen(self, places: Sequence[int]) -> Seeds:
        return greedy(self.plan.options.seeds, lambda seeds: self._mean(seeds, places))

    def _mean(self, seeds: Seeds, places: Sequence[int]) -> float:
        return float(np.mean([self._values(place, seeds) for place in places]))

    def _value(self, place: int, seeds: Seeds) -> float:
        """The metric on a fold's validation slices, higher being better; the lowest where it is undefined."""
        fold, labels = self.plan.folds[place], self.plan.store.labels
        logits = self.logits(place, seeds)
        if not np.isfinite(logits).all():
            return -np.inf
        loss = make_loss(self.plan.recipe.loss, [labels[fold.train]], torch.device("cpu"))
        return self._sign * score(logits, labels[fold.valid], loss)[self.plan.metric]

    def _logits(self, place: int, seeds: Seeds) -> np.ndarray:
        member = self.plan.members[place * self.plan.options.seeds]
        images = member.experiment.images(member.recipe, torch.get_num_threads())
        network = self.network(place, seeds).to(self.device)
        rows = self.plan.folds[place].valid
        return predict(network, images, rows, device=self.device, units=member.units)[0].cpu().numpy()

    def _others(self, place: int) -> list[int]:
        return [other for other in range(len(self.plan.folds)) if other != place]

    @property
    def _alone(self) -> list[Seeds]:
        return [(seed,) for seed in range(self.plan.options.seeds)]

    @property
    def _sign(self) -> int:
        return 1 if higher_is_better(self.plan.metric) else -1
