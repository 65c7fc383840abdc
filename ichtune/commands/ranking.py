"""Commands that show what a search found: rank and report."""

from typing import TYPE_CHECKING, Annotated

import typer

from ichtune.commands.terminal import NOTHING_USABLE, console, end_interrupted, fail, note, say

if TYPE_CHECKING:
    from analysis.results import RankedResults
    from ichtune.runs.folder import RunFolder

Run = Annotated[str, typer.Argument(help="Folder of a run, e.g. runs/NAME, or its URI.")]
Data = Annotated[
    str | None,
    typer.Option(help="New location (or URI) of the run's store, if it was moved; for this command only."),
]


def rank(
    run: Run,
    metric: Annotated[
        str | None, typer.Option(help="Rank by another recorded metric (default: the one searched for).")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Rank by this label only.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of trials to show.")] = 15,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, metavar="K", help="Retrain the top recipes with K other random seeds each."),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Score the best trial and the ablation on the test set (once, at the end)."
        ),
    ] = False,
    compare: Annotated[
        str | None, typer.Option(help="A second run on the same store, ranked together with the first.")
    ] = None,
    data: Data = None,
) -> None:
    """Rank a run's trials, on the screen and as tables in RUN/results."""
    from analysis.results import RankedResults
    from analysis.screen import announce_ranking, no_score, print_promoted, print_ranking, print_test

    results = RankedResults.of(run, metric=metric, label=label, compare=compare, data=data)
    note_running_search(results.run)
    if seeds is not None:
        _rerun(results, top, seeds)
    if test:
        _score_test(results)
    announce_ranking(results.ranking, console)
    print_ranking(results.ranking, results.ranked_table, console, top)
    print_promoted(results.promoted.tables, console, known=results.ranked_table.notes)
    if test:
        print_test(results.test_table, console, known=results.ranked_table.notes)
    files = results.write(top)
    say(f"tables: {files[0].parent}")
    results.run.push()
    if not results.ranking.usable:
        fail(no_score(results.ranking), NOTHING_USABLE)


def note_running_search(run: "RunFolder") -> None:
    """Warn if the run's search is still running."""
    if run.is_searching:
        note("the search of this run is still running; this covers its trials so far")


def _rerun(results: "RankedResults", top: int, seeds: int) -> None:
    from analysis.ranking.seeds import rerun
    from ichtune.progress import progress

    try:
        with progress("other seeds", "trainings", console) as report:
            rerun(results.ranking, top, seeds, report)
    except KeyboardInterrupt:
        end_interrupted()


def _score_test(results: "RankedResults") -> None:
    from analysis.ranking.single_changes import finalists
    from analysis.test_set.score import score_on_test
    from ichtune.progress import progress

    with progress("test set", "views", console) as report:
        score_on_test(results.held_out, finalists(results.best, results.ablation), report)


def report(
    run: Run,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    data: Data = None,
) -> None:
    """Write everything about a run to one page, RUN/report.html, which works offline."""
    import webbrowser

    from analysis.findings import Findings
    from analysis.report.build import write_report
    from analysis.results import RankedResults

    findings = Findings(RankedResults.of(run, data=data))
    note_running_search(findings.results.run)
    file = write_report(findings, findings.write())
    findings.results.run.push()
    say(f"report: {file}")
    if show and not webbrowser.open(file.as_uri()):
        note("no browser found to open it")
