"""Ray Tune, put together for a search: the searcher, ASHA, actors that live on, and nothing of Ray's own loggers."""

import logging
from collections.abc import Sequence
from contextlib import suppress
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
from ichtune.search.sending import Sending
from ichtune.search.trial import SearchTrial, TrialJob, trial_folder_name
from ichtune.space import Space
from ichtune.space.walks import only, reachable


def run_trials(
    job: TrialJob,
    space: Space,
    settings: SearchSettings,
    run: RunFolder,
    capacity: Capacity,
    callbacks: Sequence[Callback],
) -> str | None:
    """Run a search's trials to their end, from wherever it stands; what became of them is in the run's folder.

    Returns what ended them before their time, if anything did: `INTERRUPTED`, `BUDGET`, or a reason in words.
    """
    missing = settings.trials - recover(run)
    if missing <= 0:
        return None
    epochs = max_epochs(space)
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
    halt = Halt(settings.time_budget_s)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(SearchTrial, job=job), trial_resources(settings, capacity)),
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
            callbacks=[Failures(run, halt), Sending(run), *callbacks],
            stop=halt,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    for name in ("ray.tune.execution.tune_controller", "ray.tune.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what breaks is told by the view, in a line
    with halt.listening():
        try:
            tuner.fit()
        except Exception as error:
            if not is_disk_full(error):
                raise
            halt.request(f"the disk is full: {error}")
        finally:
            with suppress(OSError):  # without a disk the study can't be told; `recover` tells it later
                searcher.end_what_runs()
    all_done = sum(map(is_settled, searcher.study.get_trials(deepcopy=False))) >= settings.trials
    return None if all_done and halt.reason == BUDGET else halt.reason


def _sampler(settings: SearchSettings, space: Space, trials: int) -> BaseSampler:
    """The sampler of a study that has so many trials: with the first seed again it would draw the same again."""
    return make_sampler(settings.sampler, settings.seed + trials, space)


def max_epochs(space: Space) -> int:
    """The most epochs that a recipe of the space trains."""
    trainings = reachable(only(space.sections["training"], ("epochs",)))
    return max(training["epochs"] for training in trainings)
