"""A stranger's run is read as data, or refused in a line."""

import json
import pickle
import re
from pathlib import Path

import pytest
from optuna.samplers import CmaEsSampler

from analysis.ranking.seed_noise import reruns
from analysis.report.retrained import retrained_models
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import TrialRecord
from ichtune.runs.study import open_study, trial_ends
from ichtune.search.proposals import OwnCmaEs
from tests.made_up.bomb import Bomb
from tests.made_up.models import write_model_folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trial.json", b"[" * 100_000, "nested too deeply"),
        ("trial.json", b"[]", "damaged"),
        ("epochs.jsonl", b"[" * 100_000 + b"\n", r"epochs\.jsonl, line 1: nested too deeply"),
        ("epochs.jsonl", b'{"epoch": 1}\n', "damaged"),
    ],
)
def test_a_damaged_trial_is_refused_in_a_line(made_up_copy, ichtune, name: str, content: bytes, message: str):
    (next(made_up_copy.trial_folders()).path / name).write_bytes(content)
    code, _, errors = ichtune("rank", made_up_copy.path)
    assert code == 2
    assert re.search(message, errors)


def test_trial_values_of_another_kind_are_refused(made_up_copy: RunFolder):
    file = next(made_up_copy.trial_folders()).path / "trial.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"number": "<b>"}))
    with pytest.raises(InputError, match="number must be an integer"):
        TrialRecord.read(file.parent)


def test_what_is_no_trial_is_passed_over(made_up_copy: RunFolder):
    count = len(list(made_up_copy.trial_folders()))
    (made_up_copy.trials / "1x-no").mkdir()
    assert len(list(made_up_copy.trial_folders())) == count


def test_seeds_that_are_no_json_are_refused(made_up_copy: RunFolder):
    (made_up_copy.path / "seeds.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(InputError, match="nested too deeply"):
        reruns(made_up_copy)


@pytest.mark.parametrize("line", [b"[" * 100_000, b"{}", b'{"op_code": 99}', b"\xff", b"[]"])
def test_a_damaged_journal_is_refused_in_a_line(made_up_copy, ichtune, line: bytes):
    made_up_copy.journal.write_bytes(line + b"\n" + made_up_copy.journal.read_bytes())
    code, _, errors = ichtune("rank", made_up_copy.path)
    assert code == 2
    assert "study.journal: damaged" in errors


@pytest.mark.timeout(30)
def test_a_trial_that_goes_on_with_itself_has_an_end(made_up_copy: RunFolder):
    study = open_study(made_up_copy.journal)
    trial = study.ask()
    trial.set_user_attr("continues", trial.number)
    trial.set_user_attr("ended", "failed")
    trial.set_user_attr("recipe", "0")
    with pytest.raises(InputError, match="damaged"):
        trial_ends(made_up_copy)


def test_a_pickle_in_the_journal_is_not_the_state_of_cmaes(made_up_copy: RunFolder, tmp_path: Path):
    study, bomb = open_study(made_up_copy.journal), pickle.dumps(Bomb(tmp_path / "mark")).hex()
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "cma:optimizer:0", bomb)
    study.tell(trial, 0.5)
    trials = study.get_trials()
    assert OwnCmaEs(seed=0)._restore_optimizer(trials) is None
    assert not (tmp_path / "mark").exists()
    CmaEsSampler(seed=0)._restore_optimizer(trials)  # Optuna's own would have run it
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '"x"'])
def test_a_retrained_model_without_its_metrics_is_a_line(made_up_copy: RunFolder, content: str):
    (made_up_copy.path / "retrain").mkdir()
    folder = write_model_folder(made_up_copy.path / "retrain" / "m")
    (folder / "metrics.json").write_text(content)
    models, (line,) = retrained_models(made_up_copy)
    assert models == []
    assert line == "m can't be read: metrics.json lacks metric, parts, models, history, notes"
