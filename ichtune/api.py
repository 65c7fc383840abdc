"""Search, and explain a model, with one call from Python."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ichtune.commands import search_flow
from ichtune.runs.settings import SearchSettings
from ichtune.safe_console import SafeConsole
from ichtune.search.plan import plan
from ichtune.search.search import search as run_search
from ichtune.space import Space

if TYPE_CHECKING:
    from analysis.explaining.explained import Explained
    from analysis.results import RankedResults


def search(
    data: str | Path, space: str | Path | Space = "quick", *, console: Console | None = None, **settings: Any
) -> "RankedResults":
    """Search for the best recipe on a slice store and return the ranked results.

    `settings` are the fields of `SearchSettings`.

        results = search("STORE", "quick", trials=30, name="first")
        print(results.table.head())

    Raises:
        InputError: an argument can't be used, or no trial finished an epoch.
    """
    from analysis.results import RankedResults

    space = space if isinstance(space, Space) else Space.load(space)
    planned = plan(data, space, SearchSettings(**settings))
    search_flow.refuse_without_room(planned)
    return RankedResults.of(run_search(planned, console or SafeConsole(stderr=True)).run)


def explain(model: str | Path, data: str | Path, **options: Any) -> "Explained":
    """Explain a model on a slice store: example slices with activation maps, and probabilities.

    `options` are the fields of `ExplainOptions`.

        explained = explain("runs/mine/retrain/rank1-fold0", "STORE", label="subdural")
        print(explained.table)

    Raises:
        InputError: an argument can't be used.
    """
    from analysis.explaining.explained import ExplainOptions
    from analysis.explaining.explained import explain as explain_model

    return explain_model(Path(model), Path(data), ExplainOptions(**options))
