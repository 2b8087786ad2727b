"""The class as two files: what they say, and what is refused with its line and a remedy."""

from pathlib import Path

import pytest
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from torchgrade.errors import CourseError
from torchgrade.hub.class_file import read_class
from torchgrade.hub.description import ClassDescription, Role

ROOT = Path(__file__).parents[1]
REAL = 'isolation = "users"'
TLS = 'certificate = "/c.pem"\nkey = "/k.pem"'


def described(folder: Path, change: tuple[str, str] = ("", ""), roster: str = ROSTER_CSV) -> ClassDescription:
    return read_class(class_folder(folder, CLASS_TOML.replace(*change), roster))


def test_the_class_in_the_repository_can_be_read():
    description = read_class(ROOT / "hub_config")
    assert description.students == [f"student-0{number}" for number in (1, 2, 3, 4)]
    assert (description.staff, description.instructors) == (["instructor", "ta"], ["instructor"])
    assert description.is_demonstration and description.gpu is None
    assert description.machine.folder == ROOT / "build" / "hub"


def test_the_hub_and_the_course_agree_about_its_name():
    assert f'c.CourseDirectory.course_id = "{read_class(ROOT / "hub_config").course}"' in (
        ROOT / "nbgrader_config.py"
    ).read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("student-01,student,Ada,Again,", "student-01 is there already, in line 4. Give each person one line"),
        ("x,boss,,,", "there is no role 'boss'. Use one of student, ta, instructor."),
        ("Ada,student,,,", "'Ada' cannot be an id. Use a to z"),
        ("a+b,student,,,", "'a+b' cannot be an id."),
        ("../root,student,,,", "'../root' cannot be an id."),
        ("-rf,student,,,", "'-rf' cannot be an id."),
        (f"{'a' * 32},student,,,", "at most 31 characters"),
        ("grader-pytorch,student,,,", "is kept for the account that grades"),
        ("x,student,Ada", "3 fields in place of 5. Separate them by commas"),
        ('x,student,"Ada,,', "not CSV: unexpected end of data. Close the quotes"),
        ("x,student,A\x1b[2J,,", "holds characters that cannot be shown"),
        ("x,student,,,mail", "'mail' is no e-mail address"),
    ],
)
def test_a_bad_line_of_the_roster_is_named_with_its_number(tmp_path, line, said):
    number = len(ROSTER_CSV.splitlines()) + 1
    with pytest.raises(CourseError) as error:
        described(tmp_path, roster=f"{ROSTER_CSV}{line}\n")
    assert str(error.value).startswith(f"{tmp_path}/hub_config/roster.csv:{number}: ") and said in str(error.value)


@pytest.mark.parametrize(
    ("roster", "said"),
    [
        ("", "roster.csv:1: the first line is 'empty'. Write: id,role,first_name,last_name,email"),
        ("name,role\n", "the first line is 'name,role'"),
        ("id,role,first_name,last_name,email\nx,student,,,\n", "roster.csv: there is no instructor. Add a line"),
    ],
)
def test_a_roster_that_is_none_is_named(tmp_path, roster, said):
    with pytest.raises(CourseError) as error:
        described(tmp_path, roster=roster)
    assert said in str(error.value)


def test_a_roster_from_a_spreadsheet_is_read(tmp_path):
    text = "\ufeff" + ROSTER_CSV.replace("\n", "\r\n") + 'zoe,student,"Zoë, the 2nd",Ñandú,z@x.org\r\n,,,,\r\n\r\n'
    folder = class_folder(tmp_path, CLASS_TOML, "")
    (folder / "roster.csv").write_bytes(text.encode("utf8"))
    zoe = read_class(folder).people[-1]
    assert (zoe.name, zoe.role, zoe.first_name, zoe.last_name) == ("zoe", Role.STUDENT, "Zoë, the 2nd", "Ñandú")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('course = "pytorch"', 'course = "Py torch"', "class.toml:1: 'Py torch' cannot be a course."),
        ('course = "pytorch"', "", "class.toml: 'course' is missing. Give it a text in quotes."),
        ("cores = 2", "cores = 'two'", "class.toml:9: 'cores' of [limits] is 'two'. Give it a number."),
        ("cores = 2", "cores = 0", "'cores' of [limits] is 0.0. Give it 1 or more."),
        ("servers = 8", "servers = true", "'servers' of [limits] is True. Give it a whole number."),
        ("servers = 8", "server = 8", "class.toml:10: 'server' is not known in [limits]. There are: memory, cores"),
        (
            "[limits]",
            "[limit]",
            "class.toml:7: 'limit' is not known. There are: course, machine, limits, idle, late,",
        ),
        ('memory = "2G"', 'memory = "2GB"', "'2GB' is no amount of memory. Write it as 512M or 2G."),
        ("[idle]", "[idle", "not TOML: "),
        ('isolation = "none"', 'isolation = "some"', "there is no isolation 'some'. Use none or users."),
        ("hours = 12", 'hours = 12\n[gpu]\nkind = "TPU"', "there is no GPU of kind 'TPU'. Use one of T4, V100"),
        (
            "hours = 12",
            'hours = 12\n[gpu]\nkind = "T4"\nstudents_per_card = 9\ncards_for_grading = 0',
            "9 students do not fit on 16 GB. Give it 2 or less.",
        ),
        (
            "hours = 12",
            "hours = 12\n[late]\ngrace_days = 1\npercent_a_day = 120",
            "class.toml:17: 'percent_a_day' of [late] is 120. Give it more than 0, up to 100.",
        ),
        ("hours = 12", "hours = 12\n[late]\ngrace_days = -1\npercent_a_day = 10", "'grace_days' of [late] is -1."),
        ("hours = 12", "hours = 12\n[late]\ngrace_days = 1", "'percent_a_day' of [late] is missing."),
        ("127.0.0.1:8000", "hub.example.org", "a demonstration isolates nobody and is not for hub.example.org"),
        ("http://127.0.0.1:8000", "127.0.0.1", "'127.0.0.1' is no address."),
        ("http://127.0.0.1:8000", "http://127.0.0.1:99999", "is no address."),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "http://hub.example.org"',
            "passwords would cross the network unencrypted. Use https.",
        ),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "https://hub.example.org"',
            "https and the certificate do not agree.",
        ),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "https://10.1.2.3"\nsubdomains = true\n{TLS}',
            "10.1.2.3 has no subdomains.",
        ),
    ],
)
def test_a_bad_class_is_named_with_its_line_and_the_remedy(tmp_path, old, new, said):
    assert old in CLASS_TOML
    with pytest.raises(CourseError) as error:
        described(tmp_path, (old, new))
    assert str(error.value).startswith(f"{tmp_path}/hub_config/class.toml") and said in str(error.value)
