"""What a person reads when a search is cut short before it has begun."""

from rich.console import Console

from ichtune.search import command
from ichtune.search.run_folder import RunFolder
from ichtune.search.search import asked


def test_an_interrupt_before_the_first_trial_says_how_to_go_on(small_plan, monkeypatch):
    def interrupted(plan, console):
        RunFolder.create(plan.run, asked(plan))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "search", interrupted)
    console = Console(record=True, width=200)
    assert command._run(small_plan, console, dry_run=False) == 130
    text = console.export_text()
    assert "interrupted before the first trial" in text
    assert f"--runs {small_plan.settings.runs} --resume {small_plan.settings.name}" in text
