"""A student's progress: what the hook sees, what the record keeps, and that neither ever stops a notebook."""

import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from IPython.core.interactiveshell import InteractiveShell
from torchgrade import progress
from torchgrade.check import NotAnswered
from torchgrade.progress import record, seen


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHGRADE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(seen.SEEN, "checks", {})
    monkeypatch.setattr(plt, "show", lambda: None)
    return tmp_path / "home"


def ran(source, error=None):
    """What IPython tells about a cell."""
    seen.SEEN.after_cell(
        SimpleNamespace(info=SimpleNamespace(raw_cell=source), error_before_exec=None, error_in_exec=error)
    )


def test_the_footer_names_what_to_revisit_and_keeps_the_lesson(capsys):
    ran("# Check 7.1: shapes")
    ran("# Check 7.2: values", AssertionError("no"))
    ran("# Check 7.3", NotAnswered("not yet"))
    ran("x = 1  # no check")
    progress.footer()
    said = capsys.readouterr().out
    assert "Lesson 07: 1 of 3 visible checks pass." in said
    assert "7.2 does not pass yet: read section 7.2" in said and "7.3 is not answered yet" in said
    kept = record.read()["lessons"]["07"]
    assert (kept["passed"], kept["checks"]) == (1, 3)


def test_the_last_run_of_a_check_counts(capsys):
    ran("# Check 1.1", AssertionError("no"))
    ran("# Check 1.1")
    progress.footer()
    assert "All of them." in capsys.readouterr().out


def test_lessons_gather_in_one_record(capsys):
    for lesson in (1, 7):
        seen.SEEN.checks.clear()
        ran(f"# Check {lesson}.1")
        progress.footer()
    assert set(record.read()["lessons"]) == {"01", "07"}
    assert "  01  ■■■■■■■■■■" in capsys.readouterr().out


def test_before_any_check_the_footer_says_what_to_do(capsys):
    progress.footer()
    assert "Run it from the top" in capsys.readouterr().out and not record.path().exists()


def test_the_hook_sees_a_failing_and_a_passing_cell_of_a_real_shell(monkeypatch):
    shell = InteractiveShell.instance()
    monkeypatch.setattr(seen.SEEN, "watching", False)
    seen.watch()
    shell.run_cell("# Check 3.1\nassert True")
    shell.run_cell("# Check 3.2\nassert False")
    shell.events.unregister("post_run_cell", seen.SEEN.after_cell)
    assert seen.SEEN.checks == {(3, 1): "passed", (3, 2): "failed"}


@pytest.mark.parametrize("content", ["{", "[]", '{"lessons": 3, "rungs": []}', "null", ""])
def test_a_file_that_is_no_record_is_kept_aside(home, content, capsys):
    home.mkdir()
    record.path().write_text(content, encoding="utf8")
    assert record.read() == record.EMPTY
    assert (home / "progress.unreadable.json").read_text(encoding="utf8") == content
    assert "a new one begins" in capsys.readouterr().out


def test_a_home_that_cannot_be_written_is_one_line(home, capsys):
    home.write_text("a file where the folder should be", encoding="utf8")
    ran("# Check 1.1")
    progress.footer()
    assert "could not be saved" in capsys.readouterr().out


def climbed(**changes):
    numbers = {"parameters": 10, "bits": 3.0, "seconds": 1.0, "characters_per_second": 5.0, "memory": 2048}
    return progress.ladder("07", "mine", **(numbers | changes))


def test_the_ladder_shows_the_rows_up_to_this_lesson_and_ones_own_last(capsys):
    rows = climbed()
    assert [row.lesson for row in rows] == sorted(row.lesson for row in rows) and rows[-1].name == "mine"
    said = capsys.readouterr().out
    assert "07 yours: mine" in said and "two layers with RoPE" not in said and "01 uniform" in said


def test_a_rung_climbed_again_replaces_itself():
    climbed()
    climbed(bits=2.0)
    assert [row["bits"] for row in record.read()["rungs"]] == [2.0]


def test_reference_rows_of_trained_models_share_one_budget():
    trained = [row.seconds for row in progress.reference_rows() if row.lesson > "01"]
    assert trained and all(600 <= seconds < 606 for seconds in trained)


def test_a_record_is_replaced_in_one_step(monkeypatch, capsys):
    record.write({"lessons": {"01": {}}, "rungs": []})
    with monkeypatch.context() as full:
        full.setattr(json, "dump", lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, "No space left")))
        record.write({"lessons": {}, "rungs": []})
    assert record.read()["lessons"] == {"01": {}} and "No space left" in capsys.readouterr().out


def test_an_entry_that_says_nothing_does_not_stop_the_footer(capsys):
    record.write({"lessons": {"01": {}, "02": 3}, "rungs": [7]})
    ran("# Check 7.1")
    progress.footer()
    climbed()
    assert "  07  ■■■■■■■■■■" in capsys.readouterr().out
