"""Ray Tune, put together for a search: the searcher, ASHA, actors that live on, and nothing of Ray's own loggers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.experiment import Trial

from ichtune.search.cluster import Capacity
from ichtune.search.interrupt import Interrupt
from ichtune.search.run_folder import RunFolder, TrialFolder
from ichtune.search.samplers import first_trials, make_sampler
from ichtune.search.scheduler import Halving
from ichtune.search.searcher import OBJECTIVE, StudySearcher
from ichtune.search.settings import SearchSettings
from ichtune.search.trial import SearchTrial, TrialJob, trial_folder_name
from ichtune.space import Space
from ichtune.space.walks import only, reachable

MAX_FAILURES = 3
"""How often a trial that broke is tried again, from its last checkpoint."""


def trial_resources(settings: SearchSettings, capacity: Capacity) -> dict[str, float]:
    """What each trial takes of the cluster."""
    gpus = settings.gpus_per_trial
    if gpus is None:
        gpus = 0.25 if capacity.gpus else 0.0
    return {"cpu": settings.cpus_per_trial, "gpu": gpus}


def concurrent_trials(settings: SearchSettings, capacity: Capacity) -> int:
    """How many trials run at once."""
    resources = trial_resources(settings, capacity)
    fit = capacity.cpus / resources["cpu"] if resources["cpu"] else float("inf")
    if resources["gpu"]:
        fit = min(fit, capacity.gpus / resources["gpu"])
    return max(1, min(int(fit), settings.max_concurrent or int(fit), settings.trials))


def run_trials(
    job: TrialJob,
    space: Space,
    settings: SearchSettings,
    run: RunFolder,
    capacity: Capacity,
    callbacks: Sequence[Callback],
) -> bool:
    """Run a search's trials to their end; what became of them stands in the run's folder.

    Returns whether Ctrl-C ended them before their time.
    """
    epochs = max_epochs(space)
    scheduler = Halving(
        metric=OBJECTIVE,
        mode=space.direction,
        max_epochs=epochs,
        grace=min(settings.grace, epochs),
        reduction=settings.reduction,
    )
    make = partial(make_sampler, settings.sampler, settings.seed, space)
    searcher = StudySearcher(run.journal, space, make, scheduler.has_stopped)
    for params, point in first_trials(settings.sampler, space):
        searcher.enqueue(params, point)
    interrupt = Interrupt()
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(SearchTrial, job=job), trial_resources(settings, capacity)),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=settings.trials,
            max_concurrent_trials=concurrent_trials(settings, capacity),
            time_budget_s=settings.time_budget_s,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial_folder_name(trial.config),
            trial_dirname_creator=lambda trial: trial_folder_name(trial.config),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(run.path.absolute()),
            callbacks=[*callbacks, _Tidy(run.trials, interrupt)],
            stop=interrupt,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    try:
        with interrupt.listening():
            tuner.fit()
    finally:
        searcher.end_what_runs()
    return interrupt.requested


class _Tidy(Callback):
    """Removes the checkpoint of a trial that has ended; one that Ctrl-C ended keeps it."""

    def __init__(self, trials: Path, interrupt: Interrupt) -> None:
        self.trials, self.interrupt = trials, interrupt

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if not self.interrupt.requested:
            TrialFolder(self.trials / str(trial)).drop_checkpoint()


def max_epochs(space: Space) -> int:
    """The most epochs that a recipe of the space trains."""
    trainings = reachable(only(space.sections["training"], ("epochs",)))
    return max(training["epochs"] for training in trainings)
