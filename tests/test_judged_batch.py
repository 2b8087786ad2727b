"""Plain `nbgrader autograde` with the judge: what each kind of submission earns and is told."""

import csv

import pytest
from small_course import nbgrader, write
from small_lesson import GOOD_BANK, LESSON, cell_of, make_course
from torchgrade.lessons.master import read_notebook

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("judged batch")]

RIGHT = {"double": "def double(x):\n    return FACTOR * x", "total": "def total(items):\n    return sum(items)"}
DEAF = "    import signal\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass"
STOPS = """
def total(items):
    rest = items[2:]
    return sum(items) if not rest else rest[1]
"""
# student -> (answers that differ from the right ones, points: 3 for double, 3 for total, 2 for both in the project)
CASES = {
    "right": ({}, 8),
    "blank": (None, 0),
    "adds_two": ({"double": "def double(x):\n    return FACTOR + x"}, 4),  # its visible check passes by accident
    "dies_in_a_probe": ({"double": "import os\ndef double(x):\n    os._exit(0)"}, 3),
    "dies_in_its_cell": ({"total": "import os\nos._exit(0)"}, 5),
    "loops_in_a_probe": ({"double": "def double(x):\n    while True: pass"}, 3),
    "loops_in_its_cell": ({"total": "while True: pass"}, 5),
    "ignores_interrupts": ({"total": "if True:\n" + DEAF}, 5),
    "warns": ({"double": "import warnings\ndef double(x):\n    warnings.warn('hm')\n    return 2 * x"}, 8),
    "floods": ({"total": "print('x' * 10**8)\n" + RIGHT["total"]}, 8),
    "forges": ({"double": "import torchgrade.check as c\nc.close = lambda *a, **k: None\ndef double(x): return 0"}, 3),
    "grows": ({"double": "def double(x):\n    return bytearray(1 << 40)"}, 3),
    "stops": ({"total": STOPS}, 6),
    "in_place": ({"total": "def total(items):\n    items.append(0)\n    return sum(items)"}, 8),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = make_course(tmp_path_factory.mktemp("course"), GOOD_BANK)
    config = root / "nbgrader_config.py"
    limits = "c.Execute.timeout = 4\nc.Execute.interrupt_on_timeout = True\n"
    config.write_text(config.read_text(encoding="utf8") + limits, encoding="utf8")
    assert nbgrader(root, "generate_assignment", LESSON).returncode == 0
    for student, (answers, _) in CASES.items():
        notebook = read_notebook(root / "release" / LESSON / f"{LESSON}.ipynb")
        for grade_id, source in ({} if answers is None else RIGHT | answers).items():
            cell_of(notebook, grade_id).source = source
        write(root / "submitted" / student / LESSON / f"{LESSON}.ipynb", notebook)
    done = {command: nbgrader(root, command, LESSON) for command in ("autograde", "generate_feedback")}
    done["export"] = nbgrader(root, "export")
    return root, done


def test_every_command_ends_well(course):
    for command, done in course[1].items():
        assert done.returncode == 0 and "Traceback" not in done.stderr, f"{command}: {done.stderr}"


@pytest.mark.parametrize("student", CASES)
def test_score(course, student):
    with (course[0] / "grades.csv").open(encoding="utf8") as grades:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(grades)}
    assert scores[student] == CASES[student][1]


def page(course, student):
    return (course[0] / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ("right", "Hidden checks: passed."),
        ("right", "Checks: passed."),
        ("blank", "Hidden checks: not answered yet."),
        (
            "adds_two",
            "This is what comes out when it adds two, which is doubling for 2 alone. Section 7.1 explains it.",
        ),
        ("dies_in_a_probe", "Hidden checks: your code ended the process that ran it."),
        ("dies_in_its_cell", "The kernel died in this cell."),
        ("loops_in_its_cell", "Did not finish in time and was stopped."),
        ("floods", "Printed too much and was stopped."),
        ("forges", "Hidden checks: a value is wrong."),
        ("grows", "Hidden checks: stopped by MemoryError in your line 2: `return bytearray(1 &lt;&lt; 40)`."),
        ("grows", "Your code stopped with MemoryError\n  in double, line 2 of its cell: return bytearray"),
        ("stops", "stopped by IndexError in your line 4: `return sum(items) if not rest else rest[1]`."),
    ],
)
def test_feedback_says_what_happened(course, student, sentence):
    assert sentence in page(course, student)


@pytest.mark.parametrize("student", CASES)
def test_feedback_shows_nothing_of_a_hidden_test(course, student):
    html = page(course, student)
    for secret in ("0.1234567", "0.2469134", "check.run(lambda: total([1", "successor function", "site-packages"):
        assert secret not in html, secret
