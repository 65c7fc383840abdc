"""The searcher: Optuna proposes recipes, and is told what really happened to them."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ichtune.config import recipe_hash
from ichtune.space import Space

STUDY = "search"
OBJECTIVE = "objective"
"""The reported value that is searched for: the best mean over folds so far, always finite."""
RAY_TRIAL, RECIPE, POINT, ENDED = "ray_trial", "recipe", "point", "ended"
"""User attributes of an Optuna trial."""
FROM_SCHEDULER = "asha"

SamplerMaker = Callable[[], optuna.samplers.BaseSampler]


def open_study(
    journal: Path,
    *,
    direction: Literal["maximize", "minimize"] | None = None,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> optuna.Study:
    """The study in a run's journal; with a direction it is made where there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would report every trial once more
    storage = JournalStorage(JournalFileBackend(str(journal)))
    if direction is None:
        return optuna.load_study(study_name=STUDY, storage=storage, sampler=sampler)
    return optuna.create_study(
        study_name=STUDY, storage=storage, sampler=sampler, direction=direction, load_if_exists=True
    )


class StudySearcher(Searcher):
    """Ray Tune's searcher over an Optuna study that is the one record of every trial's fate.

    Ray's own OptunaSearch tells every stopped trial as COMPLETE, and pickles the study's state at moments of its
    own; here a trial that the scheduler stopped is PRUNED with its intermediate values, one that ended by itself
    is COMPLETE, one that broke is FAIL, and all of it is in the journal at once.
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
        direction = "maximize" if self.mode == "max" else "minimize"
        self.study = open_study(self.journal, direction=direction, sampler=self.make_sampler())
        self._trials: dict[str, optuna.Trial] = {}

    def enqueue(self, params: dict[str, Any], point: str | None = None) -> None:
        """Let these parameters be proposed before any others, under a name if they have one."""
        self.study.enqueue_trial(params, user_attrs={POINT: point} if point else None)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        with warnings.catch_warnings():
            # Relative sampling of a parameter that some branch lacks falls back to independent; that is meant.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self.study.ask()
            params = self.space.suggest(trial)
        recipe = self.space.recipe(params)
        trial.set_user_attr(RAY_TRIAL, trial_id)
        trial.set_user_attr(RECIPE, recipe_hash(recipe))
        self._trials[trial_id] = trial
        return {"number": trial.number, "params": params, "point": trial.user_attrs.get(POINT)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._report(self._trials[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self._trials.pop(trial_id, None)
        if trial is None:
            return
        result = result or {}
        if result:
            self._report(trial, result)
        value = result.get(OBJECTIVE)
        ended = result.get(ENDED) or (
            FROM_SCHEDULER if self.stopped_by_scheduler(trial_id) else "interrupted"
        )
        if error or value is None or ended == "interrupted":
            self._tell(trial, "failed" if error else "interrupted", TrialState.FAIL)
        elif ended == FROM_SCHEDULER:
            self._tell(trial, ended, TrialState.PRUNED)
        else:
            self._tell(trial, ended, TrialState.COMPLETE, value)

    def end_what_runs(self) -> None:
        """Tell the study that what still runs was interrupted; nothing is left as running."""
        for trial in self._trials.values():
            self._tell(trial, "interrupted", TrialState.FAIL)
        self._trials.clear()

    def _tell(self, trial: optuna.Trial, ended: str, state: TrialState, value: float | None = None) -> None:
        trial.set_user_attr(ENDED, ended)
        self.study.tell(trial, value, state=state)

    def _report(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        value = result.get(OBJECTIVE)
        if value is not None:
            trial.report(value, result["epoch"])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("study", "_trials")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._connect()

    def save(self, checkpoint_path: str) -> None:
        """Ray wants a file; all there is to know stands in the journal."""
        with open(checkpoint_path, "wb") as file:
            pickle.dump(None, file)

    def restore(self, checkpoint_path: str) -> None:
        self._connect()
