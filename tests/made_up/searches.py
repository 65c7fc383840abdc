"""Small real searches, trained one trial after the other in this process, without starting a Ray."""

from collections.abc import Iterable
from typing import Any

from ichtune.bank.build import build
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.search.proposals import make_sampler
from ichtune.search.searcher import StudySearcher
from ichtune.search.trial import SearchTrial, TrialJob
from ichtune.space import Space
from ichtune.space.walks import Params
from tests.made_up.records import new_run


def begin_trial(job: TrialJob, config: dict[str, Any]) -> SearchTrial:
    """A trial as Ray's wrapper around parameters makes it, without Ray."""
    trial = SearchTrial.__new__(SearchTrial)
    trial.config = config
    trial.setup(config, job)
    return trial


def run_trial(job: TrialJob, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Train a trial to its end; gives what it reported after each epoch."""
    trial, results = begin_trial(job, config), []
    while not results or not results[-1].get("done"):
        results.append(trial.step())
    trial.cleanup()
    return results


def search_without_ray(
    store: SliceStore, space: Space, settings: SearchSettings, recipes: Iterable[tuple[Params, str | None]]
) -> RunFolder:
    """A finished run of these recipes (parameters, and the point's name), as a search leaves it."""
    planned = plan(store.path, space, settings)
    run = new_run(planned.run, planned.request)
    build(planned.parts)
    job = TrialJob(planned.experiment, space, run, threads=1)
    searcher = StudySearcher(run.journal, space, lambda _: make_sampler("random", 0, space), lambda _: False)
    for params, point in recipes:
        searcher.enqueue(params, point)
        config = searcher.suggest("trial")
        assert isinstance(config, dict)
        searcher.on_trial_complete("trial", run_trial(job, config)[-1])
    return run
