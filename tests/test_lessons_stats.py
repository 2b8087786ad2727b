"""`torchgrade lesson stats`: it counts what is there."""

import json
import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_lesson import GOOD_BANK, LESSON, make_course
from torchgrade.cli import main
from torchgrade.lessons import seconds as seconds_module
from torchgrade.lessons import stats, summary
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import Master, lesson_names, read_master
from torchgrade.lessons.outline import exercises, minutes
from torchgrade.lessons.seconds import Seconds, seconds

ROOT = Path(__file__).parents[1]

TABLE = """# 7

| part | minutes | | part | minutes |
|---|---|---|---|---|
| 7.1 Why 99 | 20 | | 7.2 | 15 |
| 7.3 | 5 | | | |"""
ANOTHER = "| a | minutes |\n|---|---|\n| b | 3 |"
EXERCISE = "### Exercise 7.1 · Double\ndifficulty 1/5 · importance 1/5 · 5 min"


def lessons(root, monkeypatch):
    def add(notebook):
        extra = [
            new_markdown_cell(f"{TABLE}\n\nText.\n\n{ANOTHER}"),
            new_markdown_cell(EXERCISE),
        ]
        extra.append(
            new_code_cell("check.predict('a', 1)\ncheck.predict('b', 2)\nplots.finish(fig)\nplots.finish(fig)")
        )
        extra.append(new_code_cell("# check.predict('c') and plots.finish(fig) in a comment\n!ls"))
        notebook.cells += extra

    monkeypatch.chdir(make_course(root, GOOD_BANK, add))


@pytest.fixture
def without_runs(monkeypatch):
    monkeypatch.setattr(stats, "seconds", lambda master: Seconds(solved=7.5, grading=2.5))


def test_the_numbers(tmp_path, monkeypatch, capsys, without_runs):
    lessons(tmp_path, monkeypatch)
    assert main(["lesson", "stats", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[LESSON]
    assert 1 < row.pop("kb") < 3
    assert row == {
        "examples": 5,  # the demonstration and the cell with a line of shell included
        "plots": 1,  # cells, not figures
        "exercises": 1,
        "answers": 2,
        "graded": 5,
        "points": 10,
        "hidden": 3,
        "written": 1,
        "predictions": 2,
        "minutes": 40,
        "mistakes": 3,
        "accepted": 2,
        "seconds_solved": 7.5,
        "seconds_grading": 2.5,
    }


def test_the_table_has_a_total_row(tmp_path, monkeypatch, capsys, without_runs):
    lessons(tmp_path, monkeypatch)
    assert main(["lesson", "stats", LESSON]) == 0
    header, row, total = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[:3] == ["lesson", "kb", "examples"] and row[0] == LESSON and total[0] == "total"
    assert row[1:] == total[1:] and row[-2:] == ["7.5", "2.5"]


@pytest.mark.course
def test_a_lesson_that_stops_has_no_seconds_and_the_cell_is_named(tmp_path, monkeypatch, capsys):
    lessons(tmp_path, monkeypatch)  # its demonstration raises
    assert main(["lesson", "stats", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)[LESSON]["seconds_solved"] is None
    assert f"{LESSON}.ipynb: cell cell-2: the solved lesson stops with RuntimeError: a demonstration ran" in said.err


@pytest.mark.course
def test_seconds_are_of_the_cells_and_demonstrations_are_not_needed_by_grading(tmp_path):
    busy = "import time\n\nend = time.process_time() + {}\nwhile time.process_time() < end:\n    pass"

    def change(notebook):
        notebook.cells[2].source = busy.format(2)  # the demonstration
        notebook.cells.append(new_code_cell(busy.format(1)))

    make_course(tmp_path, GOOD_BANK, change)
    found = seconds(read_master(tmp_path, LESSON))
    assert 1 <= found.grading < 2.5 and found.grading + 1.5 < found.solved


def test_a_lesson_is_measured_again_only_if_what_runs_has_changed(tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(seconds_module, "_measure", lambda master, what: runs.append(what) or float(len(runs)))
    make_course(tmp_path)
    first = seconds(read_master(tmp_path, LESSON))
    assert first == Seconds(1.0, 2.0) and runs == ["solved", "grading"]
    (tmp_path / "source" / LESSON / "mistakes.py").write_text("", encoding="utf8")
    assert seconds(read_master(tmp_path, LESSON)) == first and len(runs) == 2
    (tmp_path / "source" / LESSON / "data.csv").write_text("1", encoding="utf8")
    assert seconds(read_master(tmp_path, LESSON)) == Seconds(3.0, 4.0)
    monkeypatch.setattr(seconds_module, "version", lambda package: "0")  # another torch
    assert seconds(read_master(tmp_path, LESSON)) == Seconds(5.0, 6.0)


def summary_of(course: Path, text: str = f"Before.\n\n{summary.BEGIN}\nold\n{summary.END}\n\nAfter.\n") -> Path:
    path = course / "COURSE_SUMMARY.md"
    path.write_text(text, encoding="utf8")
    return path


def test_the_counts_are_written_between_the_marks(tmp_path, monkeypatch):
    lessons(tmp_path, monkeypatch)
    path = summary_of(tmp_path)
    assert main(["lesson", "stats", "--write-summary"]) == 0
    before, table, after = re.split(r"<!--.*-->\n", path.read_text(encoding="utf8"))
    assert (before, after) == ("Before.\n\n", "\nAfter.\n")
    header, _, row, total = table.splitlines()
    assert header.startswith("| lesson | KB | minutes | examples |") and row.startswith("| 07 | ")
    assert total.startswith("| **all** | ") and total.replace("*", "").split()[2:] == row.split()[2:]


@pytest.mark.parametrize(
    ("arguments", "text", "what"),
    [
        ([], "no marks", "COURSE_SUMMARY.md: the marks around the counts are missing"),
        ([], f"{summary.END}\n{summary.BEGIN}", "the marks around the counts are missing"),
        ([LESSON], "", "--write-summary counts all lessons"),
    ],
)
def test_a_summary_that_cannot_be_written_stays_as_it_is(tmp_path, monkeypatch, capsys, arguments, text, what):
    lessons(tmp_path, monkeypatch)
    path = summary_of(tmp_path, text)
    assert main(["lesson", "stats", "--write-summary", *arguments]) == 2
    assert what in capsys.readouterr().err
    assert path.read_text(encoding="utf8") == text


def test_the_counts_in_the_summary_are_those_of_the_lessons():
    masters = [read_master(ROOT, name) for name in lesson_names(ROOT)]
    rows = {master.name: stats.stats(master, read_bank(master.bank_path)) for master in masters}
    path = ROOT / "COURSE_SUMMARY.md"
    assert path.read_text(encoding="utf8") == summary.with_counts(path, rows), (
        "run `.venv/bin/torchgrade lesson stats --write-summary`"
    )


@pytest.mark.parametrize("arguments", (["08_none"], ["--json", "08_none"]))
def test_an_unknown_lesson_is_bad_input(tmp_path, monkeypatch, capsys, arguments):
    lessons(tmp_path, monkeypatch)
    assert main(["lesson", "stats", *arguments]) == 2
    assert "there is no lesson" in capsys.readouterr().err


def test_a_lesson_without_a_table_announces_no_minutes(tmp_path):
    cells = [new_markdown_cell("# 7\n\n| a | b |\n|---|---|\n| 1 | 2 |")]
    assert minutes(Master("a", tmp_path, new_notebook(cells=cells))) == 0


def test_an_exercise_goes_on_until_a_heading_or_an_answer(tmp_path):
    cells = [
        new_markdown_cell(f"Before.\n{EXERCISE}\n```\n# code, no heading\n```"),
        new_code_cell("1"),
        new_markdown_cell("It goes on.\n## 7.2\nAfter."),
        new_markdown_cell("### Exercise 7.10 · More"),
    ]
    first, second = exercises(Master("a", tmp_path, new_notebook(cells=cells)))
    assert (first.number, second.number) == ("7.1", "7.10")
    assert first.lines[-2:] == ["```", "It goes on."] and second.lines == ["### Exercise 7.10 · More"]
