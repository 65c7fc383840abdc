"""What a search's driver leaves in the run for those who look from elsewhere: signs of life, and a log."""

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from ray.tune import Callback
from rich.console import Console

from ichtune.errors import InputError
from ichtune.runs.driver import LOG, Driver
from ichtune.runs.folder import RunFolder
from ichtune.safe_console import SafeConsole

EVERY_S = 5.0
"""How often a driver gives a sign."""


class Signs(Callback):
    """Gives a sign of life every few seconds."""

    def __init__(self, run: RunFolder, driver: Driver, log: Console) -> None:
        self.run, self.driver, self.log = run, driver, log
        self.given = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks with the experiment, and an open file can't be pickled

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self.given >= EVERY_S:
            self.driver.write(self.run.path)
            self.given = time.monotonic()

    def end(self, reason: str) -> None:
        """Say why the search ended, once nothing more is to come."""
        self.log.print(f"ended: {reason}", soft_wrap=True, highlight=False, markup=False)
        self.driver.write(self.run.path, reason)


@contextmanager
def driving(run: RunFolder, done: int) -> Generator[Signs]:
    """Leave signs and a log in a run's folder while the context lasts; an error ends them with its message.

    `done` is the number of trials that are done already.
    """
    driver = Driver.begin(done)
    with open(run.path / LOG, "a", encoding="utf-8", buffering=1) as file:
        signs = Signs(run, driver, SafeConsole(file=file, width=120))
        begun = f"--- {driver.began} searching on {driver.host}, process {driver.pid}"
        signs.log.print(begun, soft_wrap=True, highlight=False)
        driver.write(run.path)
        try:
            yield signs
        except BaseException as error:
            signs.end(str(error).strip().split("\n", 1)[0] or type(error).__name__)
            with suppress(OSError, InputError):  # the error itself matters more
                run.push()
            raise
