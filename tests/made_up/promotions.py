"""Made-up fine-tuning searches of made-up runs, without training anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.promotion.choose import promote
from ichtune.runs.folder import RunFolder
from ichtune.runs.request import SearchRequest
from ichtune.runs.settings import SearchSettings
from ichtune.search.proposals import make_sampler
from ichtune.search.searcher import StudySearcher
from ichtune.space.recipes import RECIPE
from tests.made_up.records import new_run
from tests.made_up.runs import World, quality

Gain = Callable[[dict[str, Any]], float]
"""How much a recipe's quality changes when it is fine-tuned, by its new parameters."""


def made_up_promotion(
    frozen: RunFolder,
    runs: Path,
    *,
    folds: int | None = None,
    spread: int | None = None,
    top: str | None = None,
    changes: dict[str, object] | None = None,
    gain: Gain = lambda _: 0.0,
) -> RunFolder:
    """Make a finished fine-tuning search of every combination of its space."""
    asked = SearchSettings(
        promote=str(frozen), name="tuned", runs=runs, folds=folds, spread=spread, top=top, engine="torch"
    )
    made = promote(asked, changes or {}, given=set())
    store = frozen.request.open_store()
    run = new_run(runs / "tuned", SearchRequest.now(store, made.space, made.settings))
    made.promotion.write(run)
    before = {record.folder.name: record.params for record in frozen.trial_records()}
    params_of = {one.name: before[one.trial] for one in made.promotion.promoted.recipes}
    world = World(
        store,
        run.request.folds,
        seed=frozen.request.settings.seed,
        quality=lambda params: quality(params_of[params[RECIPE]]) + gain(params),
        stream=3,
    )
    searcher = StudySearcher(
        run.journal, made.space, lambda _: make_sampler("random", 0, made.space), lambda _: False
    )
    for params in made.space.grid():
        searcher.enqueue(params, None)
        config = searcher.suggest("trial")
        assert isinstance(config, dict)
        for report in world.train(run, made.space, config):
            searcher.on_trial_result("trial", report)
        searcher.on_trial_complete("trial", report)
    return run
