"""Table of contents of the `ichtune` commands."""

import errno

import typer

from ichtune.commands import (
    clusters,
    data,
    evaluating,
    explaining,
    exporting,
    predicting,
    preparing,
    ranking,
    reproducing,
    retraining,
    searching,
    tracking,
    viewing,
    watching,
)
from ichtune.commands.local_paths import on_this_machine
from ichtune.commands.terminal import NOTHING_USABLE, WRONG_INPUT, fail
from ichtune.errors import InputError

app = typer.Typer(
    help="Hyperparameter search for intracranial hemorrhage detection on head CT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    preparing.prepare,
    data.inspect,
    data.phantom,
    searching.space,
    searching.search,
    ranking.rank,
    ranking.report,
    watching.status,
    watching.logs,
    watching.fetch,
    retraining.retrain,
    tracking.log,
    evaluating.evaluate,
    evaluating.finetune,
    predicting.predict,
    predicting.score,
    exporting.export,
    viewing.view,
    explaining.explain,
    reproducing.reproduce,
):
    app.command()(on_this_machine(command))
app.add_typer(clusters.app, name="cluster")


def main() -> None:
    """Run a command. Bad input prints one line and exits with 2; a machine failure prints one line and exits with 1."""
    try:
        app()
    except InputError as error:
        fail(str(error), WRONG_INPUT)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail(
                f"the disk is full ({error.filename or 'while writing'}); free some space, then run this again",
                NOTHING_USABLE,
            )
        fail(str(error), NOTHING_USABLE)


if __name__ == "__main__":
    main()
