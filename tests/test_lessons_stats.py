"""`torchgrade lesson stats`: it counts what is there."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_lesson import GOOD_BANK, LESSON, make_course
from torchgrade.cli import main
from torchgrade.lessons.master import Master
from torchgrade.lessons.outline import exercises, minutes

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


def test_the_numbers(tmp_path, monkeypatch, capsys):
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
    }


def test_the_table_has_a_total_row(tmp_path, monkeypatch, capsys):
    lessons(tmp_path, monkeypatch)
    assert main(["lesson", "stats", LESSON]) == 0
    header, row, total = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[:3] == ["lesson", "kb", "examples"] and row[0] == LESSON and total[0] == "total"
    assert row[1:] == total[1:] and len(row) == len(header)


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
