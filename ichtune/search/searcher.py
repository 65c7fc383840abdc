"""The searcher: Optuna proposes recipes, and records what happened to each."""

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from ichtune.recipe import recipe_hash
from ichtune.runs.ends import TrialEnd
from ichtune.runs.study import (
    CONTINUES,
    ENDED,
    POINT,
    RAY_TRIAL,
    RECIPE,
    REPEATS,
    is_settled,
    open_study,
    run_number,
    trial_of,
)
from ichtune.search.disk import DISK_FULL
from ichtune.space import Space

OBJECTIVE = "objective"
"""The reported value that the search optimizes: the best mean over folds so far, always finite."""
SCORED = "scored"
"""Whether that value was computed; if not, it is a stand-in for an undefined one."""
EARLIER = "earlier"
"""What earlier attempts recorded: their objectives from epoch 1 on, in the first result of one that resumes."""
MOST_REPEATS = 100
"""After this many known recipes in a row, the space is considered exhausted."""

SamplerMaker = Callable[[int], optuna.samplers.BaseSampler]
"""Makes a sampler for a study that already has this many trials."""


def each_epoch(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a result, after those of earlier attempts if it has them.

    A trial saves an epoch before it reports it, so that the report may be lost with its machine.
    """
    for epoch, value in enumerate(result.get(EARLIER, ()), start=1):
        yield {"epoch": epoch, OBJECTIVE: value}
    yield result


class StudySearcher(Searcher):
    """Ray Tune's searcher over an Optuna study that records how every trial really ended.

    Ray's own OptunaSearch marks every stopped trial as COMPLETE and pickles the study's state at arbitrary moments.
    Here a trial stopped by the scheduler is PRUNED with its intermediate values, one that ended by itself is COMPLETE,
    one that broke is FAIL, and everything is in the journal at once. A recipe that the study already knows is not
    given to Ray again: its result is reused.
    """

    def __init__(
        self,
        journal: Path,
        space: Space,
        make_sampler: SamplerMaker,
        stopped_by_scheduler: Callable[[str], bool],
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=space.direction)
        self.journal = journal
        self.space = space
        self.make_sampler = make_sampler
        self.stopped_by_scheduler = stopped_by_scheduler
        self._connect()

    def _connect(self) -> None:
        self.study = open_study(self.journal, direction="maximize" if self.mode == "max" else "minimize")
        past = self.study.get_trials(deepcopy=False)
        self.study.sampler = self.make_sampler(len(past))
        self._trials: dict[str, optuna.Trial] = {}
        self._known = {trial.user_attrs[RECIPE]: trial.number for trial in past if is_settled(trial)}
        self._twins: dict[int, list[optuna.Trial]] = {}
        """Trials that repeat the recipe of one still running, by the number of the latter."""

    def enqueue(self, params: dict[str, Any], point: str | None = None) -> None:
        """Queue these parameters ahead of all proposals, with a name if they have one; repeating it has no effect."""
        queued = [trial.system_attrs.get("fixed_params") for trial in self.study.get_trials(deepcopy=False)]
        if params not in queued:
            self.study.enqueue_trial(params, user_attrs={POINT: point} if point else None)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # ty: ignore[incompatible-method-override]
        for _ in range(MOST_REPEATS):
            trial, params = self._ask()
            recipe = recipe_hash(self.space.recipe(params))
            trial.set_user_attr(RECIPE, recipe)
            if recipe not in self._known:
                break
            self._repeat(trial, self._known[recipe])
        else:
            return Searcher.FINISHED
        self._known[recipe] = trial.number
        self._trials[trial_id] = trial
        trial.set_user_attr(RAY_TRIAL, trial_id)
        number = run_number(self.study, trial_of(self.study, trial.number))
        return {"number": number, "params": params, "point": trial.user_attrs.get(POINT)}

    def _ask(self) -> tuple[optuna.Trial, dict[str, Any]]:
        with warnings.catch_warnings():
            # Relative sampling of a parameter that some branch lacks falls back to independent sampling, as intended.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self.study.ask()
            params = self.space.suggest(trial)
        before = trial.user_attrs.get(CONTINUES)
        if before is not None:
            _report_all(trial, trial_of(self.study, before))
        return trial, params

    def _repeat(self, trial: optuna.Trial, known: int) -> None:
        """Give a trial the result of the same recipe, now or as soon as there is one."""
        trial.set_user_attr(REPEATS, known)
        if trial_of(self.study, known).state.is_finished():
            self._tell_like(trial, known)
        else:
            self._twins.setdefault(known, []).append(trial)

    def _tell_like(self, trial: optuna.Trial, known: int) -> None:
        model = trial_of(self.study, known)
        _report_all(trial, model)
        self._tell(
            trial, TrialEnd.REPEATED, model.state, model.value if model.state == TrialState.COMPLETE else None
        )

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._report(self._trials[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self._trials.pop(trial_id, None)
        if trial is None:
            return
        result = result or {}
        if result and DISK_FULL not in result:
            self._report(trial, result)
        value = result.get(OBJECTIVE)
        ended = result.get(ENDED) or (
            TrialEnd.ASHA if self.stopped_by_scheduler(trial_id) else TrialEnd.INTERRUPTED
        )
        if error:
            self._end(trial, TrialEnd.FAILED, TrialState.FAIL)
        elif value is None or ended == TrialEnd.INTERRUPTED:
            self._end(trial, TrialEnd.INTERRUPTED, TrialState.FAIL)
        elif ended == TrialEnd.ASHA:
            self._end(trial, ended, TrialState.PRUNED)
        else:
            self._end(trial, ended, TrialState.COMPLETE, value)

    def interrupt_running(self) -> None:
        """Mark the trials that are still running as interrupted, so that the study has none left running."""
        for trial in self._trials.values():
            self._end(trial, TrialEnd.INTERRUPTED, TrialState.FAIL)
        self._trials.clear()

    def _end(
        self, trial: optuna.Trial, ended: TrialEnd, state: TrialState, value: float | None = None
    ) -> None:
        self._tell(trial, ended, state, value)
        for twin in self._twins.pop(trial.number, ()):
            self._tell_like(twin, trial.number)

    def _tell(
        self, trial: optuna.Trial, ended: TrialEnd, state: TrialState, value: float | None = None
    ) -> None:
        trial.set_user_attr(ENDED, ended)
        self.study.tell(trial, value, state=state)

    def _report(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        """Report an epoch once, even if an attempt that resumed from a checkpoint repeats it."""
        for each in each_epoch(result):
            value, epoch = each.get(OBJECTIVE), each["epoch"]
            if value is not None and epoch not in trial_of(self.study, trial.number).intermediate_values:
                trial.report(value, epoch)

    def __getstate__(self) -> dict[str, Any]:
        live = ("study", "_trials", "_known", "_twins")
        return {name: value for name, value in vars(self).items() if name not in live}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._connect()

    def save(self, checkpoint_path: str) -> None:
        """Write an empty file, as Ray expects one; all state is in the journal."""
        with open(checkpoint_path, "wb") as file:
            pickle.dump(None, file)

    def restore(self, checkpoint_path: str) -> None:
        self._connect()


def _report_all(trial: optuna.Trial, model: FrozenTrial) -> None:
    for epoch, value in model.intermediate_values.items():
        trial.report(value, epoch)
