"""The epochs saved by trials that ended before their recipe's last epoch."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.pictures.end_looks import ENDS, OTHER, Look
from analysis.pictures.style import WIDTH, paper
from ichtune.runs.ends import TrialEnd

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial


def saved_share(trials: Sequence["RankedTrial"], ended: TrialEnd) -> float:
    """The share of all requested epochs that was saved by trials that ended this way."""
    spared = sum(_requested(trial) - _spent(trial) for trial in trials if trial.ended == ended)
    return spared / sum(map(_requested, trials))


@paper()
def saved(trials: Sequence["RankedTrial"]) -> Figure:
    """The epochs that each trial trained, most first, and hatched those that it saved."""
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots()
    order = [*ENDS.values(), OTHER]
    blocks = sorted((-_spent(trial), order.index(_look(trial)), -_requested(trial)) for trial in trials)
    place = 0
    for (spent, look, requested), members in groupby(blocks):
        count = len(list(members))
        _draw_block(axes, place, count, -spent, -requested, order[look])
        place += count
    axes.set_xlim(0, len(trials))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="trials, those with the most epochs first", ylabel="epochs", title=_title(trials))
    handles = _legend(trials)
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if len(handles) <= 3 else 2)
    return figure


def _spent(trial: "RankedTrial") -> int:
    return trial.record.last.epoch


def _requested(trial: "RankedTrial") -> int:
    return trial.record.recipe.training.epochs


def _look(trial: "RankedTrial") -> Look:
    return ENDS.get(trial.ended, OTHER)


def _title(trials: Sequence["RankedTrial"]) -> str:
    """`ASHA saved 62 % of 720 epochs, patience another 3 %`."""
    shares = [
        (who, saved_share(trials, ended))
        for who, ended in (("ASHA", TrialEnd.ASHA), ("patience", TrialEnd.PATIENCE))
    ]
    savings = [f"{who} saved {share:.0%}".replace("%", " %") for who, share in shares if share > 0]
    return f"{' and '.join(savings) or 'Nothing was saved'} of {sum(map(_requested, trials)):,} epochs"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def _draw_block(axes: Axes, place: int, count: int, spent: int, requested: int, look: Look) -> None:
    """Draw identical trials side by side as one area."""
    axes.bar(place, spent, count, align="edge", color=look.colour, alpha=0.85, lw=0)
    axes.bar(
        place,
        requested - spent,
        count,
        bottom=spent,
        align="edge",
        fc="none",
        ec=look.colour,
        hatch="////",
        lw=0,
        alpha=0.9,
    )


def _legend(trials: Sequence["RankedTrial"]) -> list[Patch]:
    found = []
    for look in [*ENDS.values(), OTHER]:
        members = [trial for trial in trials if _look(trial) == look]
        if members:
            epochs = sum(map(_spent, members))
            text = f"{look.words}: {_counted(len(members), 'trial')}, {_counted(epochs, 'epoch')}"
            found.append(Patch(facecolor=look.colour, alpha=0.85, label=text))
    if all(_spent(trial) >= _requested(trial) for trial in trials):
        return found
    return [*found, Patch(facecolor="none", edgecolor="0.4", hatch="////", lw=0, label="not trained")]
