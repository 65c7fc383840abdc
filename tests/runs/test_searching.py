"""What a run shows while it is being searched, or was cut short in the middle of a line."""

import pytest

from ichtune.errors import InputError
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import open_study, trial_ends


@pytest.fixture
def run(tmp_path) -> RunFolder:
    run = RunFolder.at(tmp_path / "run")
    run.make()
    return run


def test_a_run_knows_that_it_is_being_searched(run):
    assert not run.is_searching
    run.refuse_while_searching("--test")
    with run.locked():
        assert run.is_searching
        with pytest.raises(InputError, match=r"--test: a search is running in .*wait until it ends"):
            run.refuse_while_searching("--test")
        with pytest.raises(InputError, match="another process is searching"), run.locked():
            pass
    assert not run.is_searching


def test_one_process_at_a_time_does_a_piece_of_work(run):
    with (
        run.claimed("other seeds"),
        run.claimed("test scores"),
        pytest.raises(InputError, match="another process is running its other seeds"),
        run.claimed("other seeds"),
    ):
        pass
    with run.claimed("other seeds"):
        pass


def test_a_journal_without_a_study_or_with_half_a_line_is_read_so_far(run):
    assert trial_ends(run) == {}
    study = open_study(run.journal, direction="maximize")
    trial = study.ask()
    trial.set_user_attr("recipe", "r")
    trial.set_user_attr("ended", TrialEnd.PATIENCE)
    with open(run.journal, "a") as journal:
        journal.write('{"op_code": 4, "worker')
    assert trial_ends(run) == {0: TrialEnd.PATIENCE}
