"""Every command of `ichtune`; what a command needs is imported inside it, so that --help answers at once."""

import builtins
import errno
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ichtune.errors import InputError
from ichtune.terminal import SafeConsole, printable

if TYPE_CHECKING:
    from analysis.results import RankedResults


class Trained(StrEnum):
    last = "last"
    all = "all"


class Head(StrEnum):
    warm = "warm"
    fresh = "fresh"


app = typer.Typer(
    help="Hyperparameter search for intracranial hemorrhage detection on head CT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = SafeConsole()


class Format(StrEnum):
    auto = "auto"
    rsna = "rsna"
    ct_ich = "ct-ich"
    images = "images"


def _env(flag: str, **settings: Any) -> Any:
    """An option that can also be given as a variable: --max-epochs or ICHTUNE_MAX_EPOCHS."""
    return typer.Option(
        f"--{flag}", envvar=f"ICHTUNE_{flag.replace('-', '_').upper()}", show_envvar=False, **settings
    )


def main() -> None:
    """Run a command; what a person gave wrong is one line and exit code 2, a failing machine one line and 1."""
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(
                f"the disk is full ({error.filename or 'while writing'}); free some space, then run this again",
                1,
            )
        _fail(str(error), 1)


def _fail(message: str, code: int) -> None:
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(code)


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of DICOM files or images.")],
    store: Annotated[Path, typer.Argument(help="Folder to be made; the search reads it.")],
    labels: Annotated[
        Path | None, typer.Option(help="CSV with the labels (default: the one in SOURCE).")
    ] = None,
    format: Annotated[Format, typer.Option(help="Layout of SOURCE.")] = Format.auto,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels along a side of a stored slice.")] = 256,
    window: Annotated[
        str, typer.Option(metavar="C/W", help="What 8-bit images were windowed with.")
    ] = "40/80",
    test_fraction: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the slices to test on.")
    ] = 0.2,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds over what is not in the test set.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Reading processes (default: one a core).")
    ] = None,
    hash_ids: Annotated[
        bool, typer.Option("--hash-ids", help="Replace identifiers by salted hashes.")
    ] = False,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share of slices that may be unusable.")
    ] = 0.05,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished store.")] = False,
) -> None:
    """Turn DICOM files or images with labels into a slice store with patient-grouped folds."""
    from ichtune.data import prepare as preparation
    from ichtune.data.describe import print_rejected, print_splits
    from ichtune.data.windows import Window
    from ichtune.progress import progress

    options = preparation.PrepareOptions(
        labels=labels,
        format=format.value,
        size=size,
        window=Window.parse(window),
        test_fraction=test_fraction,
        folds=folds,
        seed=seed,
        workers=workers,
        hash_ids=hash_ids,
        max_rejected=max_rejected,
        overwrite=overwrite,
    )
    try:
        with progress("reading", "slices", console) as report:
            made = preparation.prepare(
                source, store, options, lambda done, total, bad: report(done, total, f"{bad:,} rejected")
            )
    except preparation.TooManyRejected as error:
        print_rejected(error.rejected, console)
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again and it goes on where it was", 130)
    print_rejected(made.rejected, console)
    print_splits(made.store, console)
    for note in made.notes:
        console.print(f"[bold yellow]note:[/] {escape(note)}", soft_wrap=True)
    console.print(
        f"store: {escape(str(made.store.path))}  ({len(made.store):,} slices, fingerprint {made.store.fingerprint})"
    )


@app.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="Folder that `ichtune prepare` made.")],
    picture: Annotated[
        Path | None, typer.Option(help="Where the picture goes (default: STORE/inspect.png).")
    ] = None,
) -> None:
    """Show a store's splits, audit it for leaks and shifts, and draw example slices."""
    from ichtune.data.audit import audit
    from ichtune.data.describe import print_audit, print_splits
    from ichtune.data.gallery import draw_examples
    from ichtune.data.store import SliceStore

    opened = SliceStore.open(store)
    print_splits(opened, console)
    print_audit(audit(opened), console)
    draw_examples(opened, picture or store / "inspect.png")
    console.print(f"picture: {escape(str(picture or store / 'inspect.png'))}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to be made, in the layout of RSNA 2019.")],
    patients: Annotated[int, typer.Option(min=1, help="How many made-up heads.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other heads.")] = 0,
) -> None:
    """Make up head CTs with hemorrhages, so that everything can be tried without patient data."""
    from ichtune.data.phantom import write_phantoms
    from ichtune.progress import progress

    with progress("drawing", "patients", console) as report:
        made = write_phantoms(
            out, patients=patients, seed=seed, progress=lambda done: report(done, patients, "")
        )
    counts = ", ".join(f"{label} {count:,}" for label, count in made.positives.items())
    console.print(
        f"{escape(str(out))}: {made.patients:,} patients, {made.slices:,} slices, with {counts}",
        soft_wrap=True,
    )
    console.print(escape(f"next: ichtune prepare {out} STORE"))


@app.command()
def space(
    space: Annotated[
        str,
        typer.Argument(metavar="NAME|FILE", help="A preset (quick, default, full, ablation) or a YAML file."),
    ],
) -> None:
    """Check a search space and print it as a tree."""
    from ichtune.space import Space

    console.print(Space.load(space).tree())


@app.command()
def search(
    context: typer.Context,
    data: Annotated[
        Path | None, _env("data", help="Slice store (default: made-up heads, prepared once).")
    ] = None,
    space: Annotated[str, _env("space", help="Preset or YAML file of the search space.")] = "quick",
    trials: Annotated[int, _env("trials", min=1, help="How many recipes to try.")] = 30,
    name: Annotated[str | None, _env("name", help="Of the run (default: the space and the time).")] = None,
    runs: Annotated[
        str,
        _env("runs", help="Folder of all runs, or s3://BUCKET/...; on a cluster, one that all nodes share."),
    ] = "runs",
    address: Annotated[
        str | None, _env("address", help="Ray cluster to join (default: a local Ray).")
    ] = None,
    folds: Annotated[int, _env("folds", min=1, help="Folds that each trial is scored on.")] = 5,
    sampler: Annotated[str, _env("sampler", help="tpe, random, grid, gp or cmaes.")] = "tpe",
    max_epochs: Annotated[
        int | None, _env("max-epochs", min=1, help="In place of the space's epochs.")
    ] = None,
    grace: Annotated[int, _env("grace", min=1, help="Epochs before ASHA may stop a trial.")] = 2,
    reduction: Annotated[
        float, _env("reduction", min=1.1, help="ASHA keeps one in so many at a rung.")
    ] = 3.0,
    views: Annotated[int, _env("views", min=1, help="Augmented views of a slice in the feature bank.")] = 4,
    cpus_per_trial: Annotated[float, _env("cpus-per-trial", min=0.1, help="Cores for each trial.")] = 1.0,
    gpus_per_trial: Annotated[
        float | None, _env("gpus-per-trial", min=0, help="GPUs, also parts of one.")
    ] = None,
    max_concurrent: Annotated[
        int | None, _env("max-concurrent", min=1, help="Trials at once, at most.")
    ] = None,
    time_budget: Annotated[
        float | None, _env("time-budget", min=1, help="Seconds after which to stop.")
    ] = None,
    seed: Annotated[int, _env("seed", min=0, help="Of sampler, augmentation and random weights.")] = 0,
    set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Change the space.")] = None,
    max_failures: Annotated[
        int, _env("max-failures", min=0, help="How often a trial that broke is tried again.")
    ] = 3,
    resume: Annotated[
        str | None, _env("resume", help="Go on with the run of this name; all else comes from the run.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
) -> None:
    """Search for the best recipe on a slice store: the main job."""
    from ichtune.runs.settings import SearchSettings
    from ichtune.search import command
    from ichtune.space import Space

    changes = command.parse_changes(set or [])
    if max_epochs is not None:
        changes["training.epochs"] = max_epochs
    settings = SearchSettings(
        trials=trials,
        name=name,
        runs=runs,
        max_failures=max_failures,
        address=address,
        folds=folds,
        sampler=sampler,
        grace=grace,
        reduction=reduction,
        views=views,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        max_concurrent=max_concurrent,
        time_budget_s=time_budget,
        seed=seed,
    )
    if resume is None:
        code = command.run(data, Space.load(space).changed(changes), settings, console, dry_run=dry_run)
    else:
        given = _given(context)
        code = command.resume(
            runs,
            resume,
            {name: value for name, value in settings.as_dict().items() if name in given},
            console,
            data=data,
            space=Space.load(space) if "space" in given else None,
            changes=changes,
            dry_run=dry_run,
        )
    sys.exit(code)


def _given(context: typer.Context) -> builtins.set[str]:
    """The settings that a person gave, by flag or by variable; `runs` only says where the run is."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    renamed = {"time_budget": "time_budget_s"}
    return {renamed.get(name, name) for name in given} - {"runs"}


@app.command()
def rank(
    run: Annotated[str, typer.Argument(help="Folder of a run, as runs/NAME, or its URI.")],
    metric: Annotated[
        str | None, typer.Option(help="Rank by another metric that was recorded (default: the search's own).")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Rank by this label alone.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many trials to show.")] = 15,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, metavar="K", help="Train the top recipes again with K other seeds each."),
    ] = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Score the best trial and the ablation on the test set; at the end."),
    ] = False,
    compare: Annotated[
        str | None, typer.Option(help="A second run over the same store, ranked together with the first.")
    ] = None,
) -> None:
    """Rank a run's trials: on the screen, and as tables in RUN/results."""
    from analysis.results import RankedResults
    from analysis.screen import print_ranking, print_test

    results = RankedResults.of(run, metric=metric, label=label, compare=compare)
    if seeds is not None:
        _rerun(results, top, seeds)
    if test:
        _score_test(results)
    print_ranking(results.ranking, results.ranked_table, console, top)
    if test:
        print_test(results.test_table, console, known=results.ranked_table.notes)
    files = results.write(top)
    console.print(f"tables: {escape(str(files[0].parent))}", soft_wrap=True, highlight=False)
    results.run.push()


def _rerun(results: "RankedResults", top: int, seeds: int) -> None:
    from analysis.ranking.seeds import rerun
    from ichtune.progress import progress

    try:
        with progress("other seeds", "trainings", console) as report:
            rerun(results.ranking, top, seeds, report)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again and it goes on where it was", 130)


def _score_test(results: "RankedResults") -> None:
    from analysis.ranking.changes import finalists
    from analysis.test_set.score import score_on_test
    from ichtune.progress import progress

    with progress("test set", "views", console) as report:
        score_on_test(results.held_out, finalists(results.best, results.ablation), report)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Folder of a run, as runs/NAME, or its URI.")],
    show: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write all there is to tell of a run into one page, RUN/report.html, which needs no network."""
    import webbrowser

    from analysis.findings import Findings
    from analysis.report.build import write_report
    from analysis.results import RankedResults

    findings = Findings(RankedResults.of(run))
    file = write_report(findings, findings.write())
    findings.results.run.push()
    console.print(f"report: {escape(str(file))}", soft_wrap=True, highlight=False)
    if show and not webbrowser.open(file.as_uri()):
        console.print("[bold yellow]note:[/] there is no browser to open it with", soft_wrap=True)


@app.command()
def retrain(
    run: Annotated[str, typer.Argument(help="Folder of a run, as runs/NAME, or its URI.")],
    rank: Annotated[int, typer.Option(min=1, help="Which recipe of the ranking.")] = 1,
    train: Annotated[Trained, typer.Option(help="What of the backbone is trained.")] = Trained.all,
    head: Annotated[
        Head, typer.Option(help="Start from the search's own head, or from a new one.")
    ] = Head.warm,
    fold: Annotated[
        int, typer.Option(min=0, help="The fold to stop early by; the others are trained on.")
    ] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate (default: a tenth of a frozen recipe's).")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=32, help="Pixels along a side, in place of the recipe's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    label: Annotated[str | None, typer.Option(help="Name of the result (default: rank1-all).")] = None,
    set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Change the recipe.")] = None,
) -> None:
    """Train a recipe of a search again with its backbone unfrozen; gives a model and its comparison."""
    import pandas as pd

    from analysis.retraining.plan import RetrainOptions, plan
    from analysis.retraining.train import train as train_model
    from analysis.screen import print_comparison
    from ichtune.progress import progress
    from ichtune.search.command import parse_changes

    options = RetrainOptions(
        rank=rank,
        train=train.value,
        head=head.value,
        fold=fold,
        epochs=epochs,
        patience=patience,
        lr=lr,
        size=size,
        batch_size=batch_size,
        label=label,
        changes=parse_changes(set or []),
    )
    planned = plan(run, options)
    for change in planned.differences:
        console.print(f"changed: {change}", markup=False, soft_wrap=True, highlight=False)
    try:
        with progress("retraining", "images", console) as report:
            made = train_model(planned, report)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again and it goes on where it was", 130)
    print_comparison(pd.concat([made.comparison, made.no_skill], ignore_index=True), console)
    for note in made.notes:
        console.print(f"[bold yellow]note:[/] {escape(note)}", soft_wrap=True)
    planned.run.push()
    console.print(f"model: {escape(str(made.folder))}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
