"""What a search shows while it runs: a live panel on a terminal, or a line per change in a log."""

import time
from collections import Counter
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.status import best_score
from ichtune.runs.study import ENDED, settled_trials, trial_ends
from ichtune.search.disk import DISK_FULL
from ichtune.search.halt import ENDING, Halt
from ichtune.search.searcher import OBJECTIVE, SCORED
from ichtune.wording import duration

LOG_EVERY_S = 15.0


class SearchProgress:
    """The state of a search, as reported by its trials."""

    def __init__(self, trials: int, metric: str, maximised: bool) -> None:
        self.trials, self.metric, self.maximised = trials, metric, maximised
        self.started = time.monotonic()
        self.running: dict[str, str] = {}
        self.ends: Counter[TrialEnd] = Counter()
        self.epochs = 0
        self.best: tuple[float, str] | None = None
        self.before = 0
        """Trials that had already ended when the search was resumed."""

    def remember(self, run: RunFolder) -> None:
        """Load what an earlier search left in the run."""
        if not settled_trials(run):
            return
        self.ends = Counter(end for end in trial_ends(run).values() if end != TrialEnd.INTERRUPTED)
        self.before = self.done
        self.best = best_score(run, maximised=self.maximised)

    @property
    def done(self) -> int:
        return sum(self.ends.values())

    def take(self, name: str, result: dict[str, Any]) -> bool:
        """Record a trial's epoch; returns True if the trial is the new best one."""
        value = result[OBJECTIVE]
        score = f"{value:.4f}" if result[SCORED] else "undefined"
        self.running[name] = f"epoch {result['epoch']}, {self.metric} {score}"
        self.epochs += 1
        if not result[SCORED] or not self._is_better(value):
            return False
        before, self.best = self.best, (value, name)
        return before is None or before[1] != name

    def _is_better(self, value: float) -> bool:
        return self.best is None or (value > self.best[0] if self.maximised else value < self.best[0])

    def finish(self, name: str, how: TrialEnd) -> None:
        self.running.pop(name, None)
        self.ends[how] += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def left(self) -> str:
        """Estimated time left at the pace so far, in words."""
        ended = self.done - self.before
        if not ended:
            return "?"
        return duration(self.seconds / ended * (self.trials - self.done))

    def counts(self) -> str:
        stopped = self.ends[TrialEnd.ASHA]
        failed = self.ends[TrialEnd.FAILED] + self.ends[TrialEnd.DIVERGED]
        ended = self.done - stopped - failed
        text = f"{ended} done, {stopped} stopped early, {len(self.running)} running"
        return f"{text}, {failed} failed" if failed else text


class LivePanel(Callback):
    """Receives every trial's events from Ray and shows the progress."""

    def __init__(self, state: SearchProgress, run: RunFolder, console: Console, halt: Halt) -> None:
        self.state, self.run, self.console, self.halt = state, run, console, halt
        self.live = (
            Live(get_renderable=self._panel, console=console, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )
        self.last_line = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles callbacks with the experiment; a live terminal display can't be pickled.
        return {}

    def setup(
        self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any
    ) -> None:
        if self.live:
            self.live.start()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.state.running.setdefault(str(trial), "starting")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if DISK_FULL not in result and self.state.take(str(trial), result):
            self._line(
                f"best so far: {self.state.metric} {result[OBJECTIVE]:.4f} by {trial}, epoch {result['epoch']}"
            )
        self._refresh()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.state.finish(str(trial), (trial.last_result or {}).get(ENDED) or TrialEnd.ASHA)
        self._refresh()

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        folder = self.run.trial(str(trial))
        text = f"{trial} failed and will be retried: {folder.last_error()}"
        if folder.micro_batches > 1:
            text += f"; its batches are now split into {folder.micro_batches} micro-batches to save memory"
        self._line(text)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.state.finish(str(trial), TrialEnd.FAILED)
        self._line(f"{trial} failed: {self.run.trial(str(trial)).last_error()}")
        self._refresh()

    def close(self) -> None:
        if self.live:
            self.live.stop()
            if self.halt.reason:  # Ray takes some seconds to end
                self.console.print(ENDING, style="bold red", highlight=False)

    def _refresh(self) -> None:
        if time.monotonic() - self.last_line > LOG_EVERY_S:
            state = self.state
            self._line(f"{state.done} of {state.trials} trials: {state.counts()}, {state.left()} left")

    def _line(self, text: str) -> None:
        self.last_line = time.monotonic()
        self.run.note(text)
        if not self.live:
            self.console.print(escape(text), soft_wrap=True, highlight=False)

    def _panel(self) -> Group:
        state = self.state
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"{state.done} of {state.trials} trials", "bold"),
            ProgressBar(total=state.trials, completed=state.done, width=30),
            f"{60 * (state.done - state.before) / max(state.seconds, 1e-9):.0f} trials/min",
            f"{state.left()} left",
        )
        lines = [head, Text(state.counts())]
        if self.halt.reason:
            lines.append(Text(ENDING, "bold red"))
        if state.best:
            value, name = state.best
            lines.append(Text.assemble("best ", (f"{state.metric} {value:.4f}", "bold green"), f"  {name}"))
        lines += [
            Text(f"  {name}  {status}", "dim", no_wrap=True)
            for name, status in list(state.running.items())[:8]
        ]
        return Group(*lines)
