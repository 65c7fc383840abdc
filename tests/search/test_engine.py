"""Which engine computes a search's feature bank, and that a run keeps it."""

from dataclasses import replace

import pytest

from ichtune.bank import trial
from ichtune.bank.build import build
from ichtune.bank.engines.protocol import EngineError
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.bank import decide_engine
from ichtune.search.plan import plan
from ichtune.search.resume import resume
from ichtune.space import Space
from tests.made_up.records import new_run

CNN = {
    "metric": "auc",
    "model": {"backbone": "cnn5", "weights": "random", "size": 32, "widths": [4, 4]},
    "training": {"precision": "float32"},
}
SPACE = Space.parse(CNN, "cnn.yaml")


def decide(store: SliceStore, space: Space = SPACE, **changes):
    return decide_engine(store, space, replace(SearchSettings(), **changes))


@pytest.fixture
def rates(monkeypatch):
    """Sets the seconds that an engine seems to need for an image, by its class's name, and has any bank tried."""

    def seem(**seconds):
        monkeypatch.setattr(trial, "WORTH_S", 0.0)
        monkeypatch.setattr(
            trial, "_seconds_per_image", lambda engine, _: seconds.get(type(engine).__name__, 1.0)
        )

    return seem


def test_a_bank_of_seconds_is_not_worth_a_trial(small_store):
    decided = decide(small_store)
    assert (decided.settings.engine, decided.why) == ("torch", "no trial, as it needs only seconds")
    assert {part.key.engine for part in decided.parts} == {"torch"}


def test_the_fastest_in_a_short_trial_is_taken(small_store, rates):
    rates(TorchEngine=0.3, OpenVinoEngine=0.1, OnnxRuntimeEngine=0.2)
    decided = decide(small_store)
    assert (decided.settings.engine, decided.why) == (
        *("openvino", "3.0 times as fast as torch in a short trial"),
    )
    assert {part.key.engine for part in decided.parts} == {"openvino"}


def test_an_engine_that_is_hardly_faster_is_not_taken(small_store, rates):
    rates(TorchEngine=0.105, OpenVinoEngine=0.1, OnnxRuntimeEngine=0.2)
    assert decide(small_store).settings.engine == "torch"


def test_an_engine_that_differs_from_torch_is_passed_over_and_named(small_store, rates, monkeypatch):
    rates(TorchEngine=0.4, OnnxRuntimeEngine=0.2)
    start = trial.start

    def without_openvino(name, *given, **named):
        if name == "openvino":
            raise EngineError("--engine: openvino can't compute cnn5 here (why); use --engine torch")
        return start(name, *given, **named)

    monkeypatch.setattr(trial, "start", without_openvino)
    decided = decide(small_store)
    assert decided.settings.engine == "onnxruntime"
    assert decided.why.endswith("; openvino can't compute cnn5 here (why)")


def test_what_is_in_the_bank_already_decides(small_store, rates):
    rates(TorchEngine=0.1)
    build(decide(small_store, engine="openvino").parts)
    decided = decide(small_store)
    assert (decided.settings.engine, decided.why) == ("openvino", "all in the bank already")


def test_a_cluster_gets_torch(small_store):
    assert decide(small_store, address="auto").settings.engine == "torch"


def test_an_open_precision_becomes_one_that_the_engine_has(small_store):
    space = SPACE.changed({"training.precision": "auto"})
    decided = decide(small_store, space, engine="onnxruntime")
    assert {part.key.precision for part in decided.parts} == {"float32"}


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [
        ("onnxruntime", "bfloat16", r"--engine: onnxruntime computes in float32 only, .* is bfloat16"),
        ("openvin", "float32", r"--engine: 'openvin' is not one of .*did you mean 'openvino'"),
    ],
)
def test_what_is_refused(small_store, engine, precision, message):
    with pytest.raises(InputError, match=message):
        decide(small_store, SPACE.changed({"training.precision": precision}), engine=engine)


def test_a_run_keeps_its_engine(small_store, tmp_path):
    settings = SearchSettings(name="run", runs=tmp_path, folds=2, engine="openvino")
    planned = plan(small_store.path, SPACE, settings)
    new_run(planned.run, planned.request)
    run = RunFolder.open(planned.run)
    assert resume(run, {}).settings.engine == "openvino"
    assert resume(run, {"engine": "auto"}).settings.engine == "openvino"
    with pytest.raises(InputError, match="engine: openvino in the run, torch requested"):
        resume(run, {"engine": "torch"})
