"""`torchgrade lesson new`: a lesson that is in form, runs, passes its own tests, and never replaces another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_course import ROOT_CONFIG
from torchgrade.cli import main
from torchgrade.lessons import new
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import read_master
from torchgrade.lessons.report import Report
from torchgrade.lessons.trials import try_variants

ROOT = Path(__file__).parents[1]
NAME = "08_rotary_positions"


@pytest.fixture
def course(tmp_path, monkeypatch):
    (tmp_path / "nbgrader_config.py").write_text(f"load_subconfig({str(ROOT_CONFIG)!r})\n", encoding="utf8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_in_form_and_passes(course, capsys):
    assert main(["lesson", "new", NAME]) == 0
    assert f"torchgrade lesson lint {NAME}" in capsys.readouterr().out
    assert main(["lesson", "fmt", "--check"]) == 0
    master = read_master(course, NAME)
    assert master.notebook.cells[0].source.startswith("# Lesson 08 · Rotary positions")
    assert not any("{" in cell.source for cell in master.notebook.cells if cell.cell_type == "markdown")
    report = Report(master, tuple(try_variants(master, bank := read_bank(master.bank_path))))
    assert report.is_clean and len(bank.mistakes) >= 3 and len(bank.accepted) >= 2


def test_the_linters_of_the_course_like_it(course):
    shutil.copy(ROOT / "pyproject.toml", course)
    main(["lesson", "new", NAME])
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "source"]
        done = subprocess.run(ruff, cwd=course, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_others_may_read_it(course):
    main(["lesson", "new", NAME])
    assert (course / "source" / NAME).stat().st_mode & 0o777 == 0o777 & ~new._umask()


@pytest.mark.parametrize(
    "name", ["8_short", "08", "08_Upper", "08_two__bars", "../08_up", "08_a/b", "08_a.ipynb", "", "०८_digits"]
)
def test_a_bad_name_is_refused(course, capsys, name):
    assert main(["lesson", "new", name]) == 2
    assert "is no name of a lesson" in capsys.readouterr().err
    assert not (course / "source").exists()


@pytest.mark.parametrize("there", [NAME, "08_another"])
def test_nothing_is_overwritten(course, capsys, there):
    mine = course / "source" / there / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["lesson", "new", NAME]) == 2
    assert "there is such a lesson already" in capsys.readouterr().err
    assert os.listdir(course / "source") == [there] and mine.read_text() == "mine"


def test_a_lesson_that_cannot_be_written_whole_is_not_written(course, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new.os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        main(["lesson", "new", NAME])
    assert os.listdir(course / "source") == []
