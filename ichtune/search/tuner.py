"""Ray Tune set up for a search: the searcher, ASHA, reused actors, and none of Ray's own loggers."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from optuna.samplers import BaseSampler
from ray import tune
from ray.tune import Callback

from ichtune.cluster.capacity import Capacity, concurrent_trials, trial_resources
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import is_settled
from ichtune.search.disk import is_disk_full
from ichtune.search.failures import Failures
from ichtune.search.halt import BUDGET, Halt
from ichtune.search.proposals import first_trials, make_sampler
from ichtune.search.recovery import recover
from ichtune.search.scheduler import Halving
from ichtune.search.searcher import OBJECTIVE, StudySearcher
from ichtune.search.trial import SearchTrial, TrialJob, trial_folder_name
from ichtune.space import Space


def run_trials(
    job: TrialJob,
    space: Space,
    settings: SearchSettings,
    run: RunFolder,
    capacity: Capacity,
    halt: Halt,
    callbacks: Sequence[Callback],
) -> str | None:
    """Run a search's remaining trials; their outcomes are in the run's folder.

    Returns why they ended early, if they did: `INTERRUPTED`, `BUDGET`, or a reason in words.
    """
    missing = settings.trials - recover(run)
    if missing <= 0:
        return None
    epochs = space.max_epochs
    scheduler = Halving(
        metric=OBJECTIVE,
        mode=space.direction,
        max_epochs=epochs,
        grace=min(settings.grace, epochs),
        reduction=settings.reduction,
    )
    searcher = StudySearcher(run.journal, space, partial(_sampler, settings, space), scheduler.has_stopped)
    scheduler.remember(filter(is_settled, searcher.study.get_trials(deepcopy=False)))
    for params, point in first_trials(settings.sampler, space):
        searcher.enqueue(params, point)
    resources = trial_resources(settings, capacity)
    trainable = tune.with_parameters(SearchTrial, job=replace(job, on_gpu=resources["gpu"] > 0))
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=missing,
            max_concurrent_trials=concurrent_trials(settings, capacity),
            reuse_actors=True,
            trial_name_creator=lambda trial: trial_folder_name(trial.config),
            trial_dirname_creator=lambda trial: trial_folder_name(trial.config),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(run),
            callbacks=[Failures(run, halt), *callbacks],
            stop=halt,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    for name in ("ray.tune.execution.tune_controller", "ray.tune.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the live panel reports failures, one line each
    with halt.listening():
        try:
            tuner.fit()
        except Exception as error:
            if not is_disk_full(error):
                raise
            halt.request(f"the disk is full: {error}")
        finally:
            with suppress(OSError):  # a full disk blocks the journal; `recover` makes up for it
                searcher.interrupt_running()
    all_done = sum(map(is_settled, searcher.study.get_trials(deepcopy=False))) >= settings.trials
    return None if all_done and halt.reason == BUDGET else halt.reason


def _sampler(settings: SearchSettings, space: Space, trials: int) -> BaseSampler:
    """The sampler for a study with this many trials; reusing the first seed would repeat its draws."""
    return make_sampler(settings.sampler, settings.seed + trials, space)
