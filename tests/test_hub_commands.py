"""`torchgrade hub ...` where something is missing or in the way: one line that names it, and nothing changed."""

import os
import re
from pathlib import Path

import pytest
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder, free_ports
from small_course import make_course
from torchgrade.cli import main
from torchgrade.hub.class_file import read_class
from torchgrade.hub.passwords import is_right
from torchgrade.hub.place import Place


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_course(tmp_path)
    class_folder(tmp_path, CLASS_TOML.replace(":8000", f":{free_ports()}"), ROSTER_CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["hub", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("torchgrade: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sync", "build/hub: there is no hub yet. Run: make hub"),
        ("backup monday", "build/hub: there is no hub yet. Run: make hub"),
        ("restore monday", "monday/manifest.json: this is no whole backup (No such file or directory)."),
        ("passwords", "there is no hub yet."),
        ("passwords student-01 zoe", "zoe: not in the roster. Add a line to roster.csv first."),
        ("prepare", "hub_config/class.toml: a demonstration needs no preparation."),
    ],
)
def test_without_a_hub_there_is_one_line(course, capsys, command, said):
    assert said in refused(capsys, *command.split())
    assert not (course / "build").exists()


def test_a_hubs_folder_that_cannot_be_made_is_named(course, capsys):
    toml = course / "hub_config" / "class.toml"
    toml.write_text(toml.read_text().replace("build/hub", "nbgrader_config.py"))
    assert "nbgrader_config.py/private: Not a directory. Mend it" in refused(capsys, "serve")


def test_a_course_of_something_else_is_not_touched(course, capsys):
    thesis = course / "build" / "hub" / "course" / "thesis.tex"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("all of it")
    assert "this is no course of a hub. Move it away." in refused(capsys, "serve")
    assert [path.name for path in thesis.parent.iterdir()] == ["thesis.tex"]


def test_a_course_without_lessons_is_named(course, capsys):
    (course / "source").rename(course / "drafts")
    assert "there are no lessons. Add source/NN_topic" in refused(capsys, "serve")


@pytest.mark.skipif(os.geteuid() == 0, reason="as root it would begin to make users")
def test_real_use_is_for_root(course, capsys):
    toml = course / "hub_config" / "class.toml"
    toml.write_text(toml.read_text().replace('"none"', '"users"'))
    assert "only root can make unix users. Run it with sudo." in refused(capsys, "prepare")
    assert "servers of other unix users are started by root." in refused(capsys, "serve")


def test_passwords_are_given_to_who_has_none_and_anew_to_who_is_named(course, capsys):
    place = Place.of(course, read_class(course / "hub_config"))
    place.private.mkdir(parents=True)

    def given(*names: str) -> dict[str, str]:
        assert main(["hub", "passwords", *names]) == 0
        return dict(re.findall(r"^([a-z0-9-]+) +([a-z-]+)$", capsys.readouterr().out, flags=re.MULTILINE))

    first = given()
    assert set(first) == {"instructor", "ta", "student-01", "student-02"}
    assert given() == {}
    (renewed,) = given("ta").values()
    assert is_right(place.passwords, "ta", renewed) and not is_right(place.passwords, "ta", first["ta"])
    assert is_right(place.passwords, "student-01", first["student-01"])
