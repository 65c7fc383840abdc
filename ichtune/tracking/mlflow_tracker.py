"""MLflow as a tracker: a parent run per search, with its trials and models as child runs."""

import logging
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.tracking.tracked_runs import SEARCH, State, TrackedRun, tracked_runs
from ichtune.wording import pasteable, plain

SQLITE: Final = "sqlite:///"
_SEARCH, _KEY, _SENT = "ichtune.search", "ichtune.key", "ichtune.sent"
"""Tags: which search a run belongs to, what it is there, and which version of it was sent completely."""
_LONGEST_PARAM = 6000
_STATUS: Final = {
    State.RUNNING: "RUNNING",
    State.STOPPED: "KILLED",
    State.FINISHED: "FINISHED",
    State.FAILED: "FAILED",
}
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing is sent anywhere but to the server that was asked for
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Its own limits, minutes, would hold up the end of a search whose server has gone away.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class MlflowTracker:
    """Runs of an MLflow experiment, found again by their tags, so that nothing is there twice."""

    def __init__(self, uri: str) -> None:
        """`uri` is that of a server, or `sqlite:///FILE`; a new file is created by `send`.

        Raises:
            InputError: it names a folder, or has a password in it.
        """
        _refuse_kind(uri)
        if uri.startswith(SQLITE):  # a relative file would be another one for a search resumed elsewhere
            uri = f"{SQLITE}{Path(uri.removeprefix(SQLITE)).absolute()}"
        self.uri = uri
        self.experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "ichtune"
        self._sent: dict[str, str] = {}
        """The versions of the final runs that it has completely, by their keys."""
        self._search = ""
        self._client: Any = None
        self._experiment_id = ""
        self._runs: dict[str, _Remote] = {}

    def __str__(self) -> str:
        return f"MLflow at {self.uri}, experiment {self.experiment}"

    @property
    def later(self) -> str:
        """What `ichtune log --to` takes to send to the same place."""
        return f"mlflow:{self.uri}"

    @property
    def look(self) -> str:
        """How to look at it."""
        if self.uri.startswith(("http://", "https://")):
            return f"a browser at {self.uri}"
        return pasteable("uvx", "mlflow", "ui", "--backend-store-uri", self.uri)

    def check(self) -> None:
        """Raise an InputError if the server doesn't answer, or the file can't be used; writes nothing."""
        client = _module().MlflowClient
        if self.uri.startswith(SQLITE):
            file = Path(self.uri.removeprefix(SQLITE))
            if not file.exists():
                return _refuse_unwritable(self.uri, file)
            _refuse_other_file(self.uri, file)
        try:
            client(tracking_uri=self.uri).search_experiments(max_results=1)
        except Exception as error:  # MLflow passes on those of its many backends
            raise InputError(f"--log mlflow:{self.uri}: can't be used ({first_line(error)})") from None
        return None

    def send(self, search: str, run: RunFolder) -> None:
        """Send what it lacks of a run; `search` is the run's identity.

        Raises:
            Exception: MLflow's own, if the server has gone away.
        """
        try:
            if self._search != search:
                self._look_up(search)
            for tracked in tracked_runs(run, self._sent):
                if self._sent.get(tracked.key) != tracked.version:
                    self._send(tracked)
        except Exception:
            self._search = ""  # how much of it has arrived is unknown: look again next time
            raise

    def _look_up(self, search: str) -> None:
        """Find what it has of a search already."""
        if self.uri.startswith(SQLITE):
            Path(self.uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        self._client = _module().MlflowClient(tracking_uri=self.uri)
        self._experiment_id = self._find_experiment()
        self._runs = {run.data.tags[_KEY]: _Remote(run) for run in self._runs_of(search)}
        self._sent = {key: known.tags[_SENT] for key, known in self._runs.items() if _SENT in known.tags}
        self._search = search

    def _send(self, tracked: TrackedRun) -> None:
        there = self._runs.get(tracked.key) or self._create(tracked)
        for params in _parts(there.new_params(tracked), 100):  # MLflow's limits for one request
            self._client.log_batch(there.id, params=params)
            there.params |= {param.key for param in params}
        for metrics in _parts(there.new_metrics(self._client, tracked), 1000):
            self._client.log_batch(there.id, metrics=metrics)
            there.remember(metrics)
        for name, file in tracked.files.items():
            self._client.log_artifact(there.id, str(file), name.rpartition("/")[0] or None)
        self._set_state(there, tracked)
        tags = tracked.tags | ({_SENT: tracked.version} if tracked.state.is_final else {})
        self._client.log_batch(there.id, tags=[_entities().RunTag(*tag) for tag in tags.items()])
        if tracked.state.is_final:
            self._sent[tracked.key] = tracked.version

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return found.experiment_id
        # MLflow's default for a file is a folder wherever the process was started.
        beside = (
            Path(self.uri.removeprefix(SQLITE)).with_suffix(".artifacts").as_uri()
            if self.uri.startswith(SQLITE)
            else None
        )
        kind = {"mlflow.experimentKind": "custom_model_development"}  # which of its pages MLflow shows first
        return self._client.create_experiment(self.experiment, artifact_location=beside, tags=kind)

    def _runs_of(self, search: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id], f"tags.`{_SEARCH}` = '{search}'", max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, tracked: TrackedRun) -> "_Remote":
        parent = {} if tracked.key == SEARCH else {"mlflow.parentRunId": self._runs[SEARCH].id}
        own = {_SEARCH: self._search, _KEY: tracked.key, "kind": tracked.kind}
        run = self._client.create_run(
            self._experiment_id, start_time=tracked.began_ms, tags=parent | own, run_name=tracked.name
        )
        self._runs[tracked.key] = _Remote(run)
        return self._runs[tracked.key]

    def _set_state(self, there: "_Remote", tracked: TrackedRun) -> None:
        status = _STATUS[tracked.state]
        if status == there.status:
            return
        if tracked.state == State.RUNNING:
            self._client.update_run(there.id, status=status)
        else:
            self._client.set_terminated(there.id, status, tracked.ended_ms)
        there.status = status


class _Remote:
    """A run that MLflow has, and what it has of it."""

    def __init__(self, run: Any) -> None:
        self.id, self.status = run.info.run_id, run.info.status
        self.tags, self.params = run.data.tags, set(run.data.params)
        self._unread = set(run.data.metrics)
        """Metrics of an earlier process, whose steps are not known yet."""
        self._steps: set[tuple[str, int]] = set()

    def new_params(self, tracked: TrackedRun) -> list[Any]:
        texts = {name: plain(value)[:_LONGEST_PARAM] for name, value in tracked.params.items()}
        return [_entities().Param(*item) for item in texts.items() if item[0] not in self.params]

    def new_metrics(self, client: Any, tracked: TrackedRun) -> list[Any]:
        """Every value that is not there yet, an epoch's metrics together; the scores belong to the last epoch."""
        for name in self._unread:
            self.remember(client.get_metric_history(self.id, name))
        self._unread = set()
        wanted = [(step.metrics, step.time_ms, step.number) for step in tracked.steps]
        # The number of trials grows, and MLflow shows a metric's value at its last step.
        last = int(tracked.scores["trials"]) if tracked.key == SEARCH else tracked.last_step
        wanted.append((tracked.scores, tracked.ended_ms, last))
        return [
            _entities().Metric(name, float(value), time_ms, step)
            for metrics, time_ms, step in wanted
            for name, value in metrics.items()
            if math.isfinite(value) and (name, step) not in self._steps
        ]

    def remember(self, metrics: Iterable[Any]) -> None:
        self._steps |= {(metric.key, metric.step) for metric in metrics}


def _module() -> Any:
    """MLflow, which takes seconds to import.

    Raises:
        InputError: it isn't installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError as error:
        raise InputError(f"--log mlflow: needs an extra ({error}); pip install 'ichtune[mlflow]'") from None
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def _parts(items: list[Any], most: int) -> list[list[Any]]:
    return [items[start : start + most] for start in range(0, len(items), most)]


def _entities() -> Any:
    return _module().entities


def _refuse_kind(uri: str) -> None:
    """Raise an InputError for a URI that names a folder, or has a password in it."""
    parts = urlsplit(uri)
    if parts.password:
        raise InputError(
            "--log: a URI with a password would be kept with the run; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD instead"
        )
    if parts.scheme in ("", "file") and uri != "databricks":
        raise InputError(
            f"--log mlflow:{uri}: must be a server (http://HOST:PORT) or a database (sqlite:///FILE); MLflow has given "
            "up keeping runs in folders"
        )


def _refuse_unwritable(uri: str, file: Path) -> None:
    there = next(place for place in file.parents if os.path.lexists(place))
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InputError(f"--log mlflow:{uri}: {there} is not a folder that can be written to")


def _refuse_other_file(uri: str, file: Path) -> None:
    """Refuse a file that MLflow would take for an empty database, or fail on with a page of its own."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            tables: Sequence[Any] = database.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"--log mlflow:{uri}: not a database ({error})") from None
    if ("experiments",) not in tables:
        raise InputError(f"--log mlflow:{uri}: a database, but not one of MLflow's; name another file")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, without the errors of the libraries below that MLflow adds."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition(" with exception ")[0][:160]
