"""Checks a request for retrainings and plans each of them, before anything is written or computed."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.ranking.differences import head_misfit
from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from analysis.retraining.changed import changed_recipe
from analysis.retraining.factorial import combinations
from analysis.retraining.options import RetrainOptions
from analysis.retraining.plan import RetrainPlan
from analysis.scoring.searched import SearchedModel, searched_experiment
from ichtune.cross_validation import CrossValidation
from ichtune.errors import InputError
from ichtune.metrics import evaluate
from ichtune.options import options_of
from ichtune.recipe import phases_of
from ichtune.runs.folder import RunFolder
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, folds_of, open_store, units_of
from ichtune.wording import did_you_mean, pasteable, plain, plural


def plans(run: RunFolder | str | Path, options: RetrainOptions | None = None) -> list[RetrainPlan]:
    """Check a request for retrainings and return the plan of each model.

    Raises:
        InputError: there is no search to start from, the store is not the search's, a rank, fold, setting or label
            can't be used, options exclude each other, or pretrained weights are unavailable.
    """
    options = options or RetrainOptions()
    _check_together(options)
    _check_workers(options)
    ranking = Ranking.of(run)
    _check_place(ranking.run, options)
    rank = options.rank if options.trial is None else _rank_of(ranking, options.trial)
    count, last = len(ranking.trials), rank + options.top - 1
    if rank <= count < last:
        raise InputError(
            f"--top: {ranking.run.path} has {count} ranked trials, so choose at most {count - rank + 1}, got "
            f"{options.top}"
        )
    each_rank = [replace(options, rank=each) for each in range(rank, last + 1)]
    return [_plan(ranking, each) for of_rank in each_rank for each in combinations(of_rank)]


def plan(run: RunFolder | str | Path, options: RetrainOptions | None = None) -> RetrainPlan:
    """Check a request for the retraining of a single recipe and return its plan; raises as `plans`."""
    return plans(run, replace(options or RetrainOptions(), top=1))[0]


def _plan(ranking: Ranking, options: RetrainOptions) -> RetrainPlan:
    _ = options.wanted
    trial = _ranked(ranking, options.rank)
    recipe = trial.record.recipe
    experiment = searched_experiment(ranking.run.request, recipe)
    searched = SearchedModel(trial, recipe, experiment, _folds(experiment, options))
    if options.train == "frozen":
        _check_frozen(searched, options)
    changed = changed_recipe(recipe, ranking.metric, options)
    made = RetrainPlan(ranking, options, searched, changed.recipe({}), changed.metric)
    _check_label(made)
    _check_head(made)
    _check_metric(made)
    _check_final(made)
    return made


def _check_together(options: RetrainOptions) -> None:
    """Refuse options that need or exclude one another."""
    if options.trial is not None and options.rank != 1:
        raise InputError("--trial: chooses the recipe, and so does --rank; leave out one")
    if options.folds is not None and options.fold:
        raise InputError("--folds: trains a model for each fold, and --fold for a single one; leave out one")
    if options.final and options.folds is None:
        raise InputError("--final: trains for the epochs that several folds found best; add e.g. --folds 5")
    if options.soup and (options.seeds < 2 or options.folds is None):
        raise InputError(
            "--soup: averages the weights of several seeds, chosen on several folds; add e.g. --seeds 3 --folds 5"
        )
    if options.soup and options.head == "fresh":
        raise InputError(
            "--soup: averages weights of models that start from the same head, and --head fresh gives each seed its "
            "own; leave out one"
        )
    if options.factors and options.top > 1:
        raise InputError("--compare: changes a single recipe, so it can't be given with --top; leave out one")
    if options.top > 1 and options.label:
        raise InputError("--label: names a single model, so it can't be given with --top; leave it out")


def _check_workers(options: RetrainOptions) -> None:
    """Refuse more workers than this machine has room for; what a cluster has is known once it is joined."""
    if options.workers > 1 and options.address is None:
        from ichtune.cluster.capacity import Capacity, refuse_too_many  # a single worker does without Ray

        refuse_too_many(options.workers, Capacity.here())


def _check_place(run: RunFolder, options: RetrainOptions) -> None:
    """Refuse trainings on a cluster in this machine's copy of a run, which the others don't see."""
    if options.address is not None and run.remote:
        raise InputError(
            f"--address: {run} is at a URI, and the machines of a cluster train in a folder that they share; copy the "
            f"run to one with `{pasteable('ichtune', 'fetch', run, 'FOLDER')}`, and retrain that"
        )


def _check_frozen(searched: SearchedModel, options: RetrainOptions) -> None:
    """Refuse to keep a frozen model that there is none of, or with anything changed."""
    if not searched.frozen:
        raise InputError(
            f"--train frozen: the search trained the backbone of this recipe ({searched.recipe.model.train}) and kept "
            "only its heads; choose another --rank, or --train last or all"
        )
    defaults = {option.name: option for option in options_of(RetrainOptions)}
    fixed = [name for name, option in defaults.items() if option.recipe_key and name != "train"]
    given = [
        defaults[name].flag
        for name in (*fixed, "head", "seeds", "soup", "final", "workers")
        if getattr(options, name) != defaults[name].default
    ]
    given += [f"--set {key}" for key in options.changes if key != "metric"]
    if given:
        raise InputError(
            f"--train frozen: keeps the search's own model, without training it; leave out {', '.join(given)}"
        )


def _rank_of(ranking: Ranking, wanted: str) -> int:
    """The rank of a trial by its name, the name of its folder, or its number."""
    names = [(trial.record.folder.name, trial.name, str(trial.record.number)) for trial in ranking.trials]
    found = [rank for rank, of in enumerate(names, start=1) if wanted in of]
    if not found:
        raise InputError(
            f"--trial: {wanted!r} is no ranked trial{did_you_mean(wanted, [name for of in names for name in of])}; "
            f"`ichtune rank {ranking.run}` lists all {len(names)}"
        )
    return found[0]


def _ranked(ranking: Ranking, rank: int) -> RankedTrial:
    count = len(ranking.trials)
    if not 1 <= rank <= count:
        raise InputError(
            f"--rank: {ranking.run.path} has {count} ranked trials, so choose 1 to {count}, got {rank}"
        )
    return ranking.trials[rank - 1]


def _folds(experiment: Experiment, options: RetrainOptions) -> tuple[Fold, ...]:
    folds = folds_of(open_store(experiment.store), CrossValidation(experiment.validation.folds))
    if options.folds is not None:
        if options.folds > len(folds):
            raise InputError(
                f"--folds: the search has {plural(len(folds), 'fold', 'folds')}; must be at most that, got "
                f"{options.folds}"
            )
        return tuple(folds[: options.folds])
    if not 0 <= options.fold < len(folds):
        raise InputError(f"--fold: the search has folds 0 to {len(folds) - 1}, got {options.fold}")
    return (folds[options.fold],)


def _check_label(plan: RetrainPlan) -> None:
    if Path(plan.label).name != plan.label or plan.label.startswith("."):
        raise InputError(
            f"--label: {plan.label!r} must be a plain folder name, without a path or a leading dot"
        )
    plan.refuse_taken_label()


def _check_head(plan: RetrainPlan) -> None:
    """Refuse a head that was trained on another backbone, or that can't be read."""
    warm = plan.options.head == "warm"
    misfit = head_misfit(plan.searched.recipe, plan.recipe)
    if warm and misfit:
        raise InputError(
            f"{misfit.what}: the search's head was trained with {plain(misfit.searched)}, so it can't be used with "
            f"{plain(misfit.retrained)}; use --head fresh"
        )
    _ = units_of(plan.store, plan.recipe.head)
    if warm or plan.searched.frozen:
        _ = plan.searched.heads


def _check_final(plan: RetrainPlan) -> None:
    """Refuse a schedule by the validation loss for a training without a validation part."""
    following = [phase.schedule.name for phase in phases_of(plan.recipe) if phase.schedule.follows_loss]
    if plan.options.final and following:
        raise InputError(
            f"--final: the schedule {following[0]} follows the validation loss, which a training on all folds lacks; "
            "use another, e.g. --set 'schedule={name: cosine}', or leave out --final"
        )


def _check_metric(plan: RetrainPlan) -> None:
    for fold in plan.folds:
        labels = plan.store.labels[fold.valid]
        scores = evaluate(np.zeros(labels.shape), labels)
        scores["loss"] = scores["weighted_log_loss"]  # one is defined if and only if the other is
        if np.isnan(scores[plan.metric]):
            raise InputError(
                f"--fold: {plan.metric} is undefined on fold {fold.index}, where no label has both positives and "
                "negatives; choose another --fold, or --set metric=loss"
            )
