"""A run that can't be saved is refused while nothing has been done."""

import pytest

from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder


def test_a_file_where_the_folder_of_runs_should_be_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match=r"runs: is not a folder, so the run can't be saved there"):
        RunFolder.at(tmp_path / "runs" / "try").refuse_unwritable()


def test_folders_that_can_be_created_are_not(tmp_path):
    RunFolder.at(tmp_path / "new" / "runs" / "try").refuse_unwritable()
    assert not (tmp_path / "new").exists()
