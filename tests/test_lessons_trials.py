"""`torchgrade lesson mistakes`: each variant is really tried, in place, and the verdicts are what they say."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from nbformat.v4 import new_code_cell
from small_lesson import (
    ADDS_TWO,
    CHECK,
    FOR_EVER,
    GOOD_BANK,
    LESSON,
    MARKS,
    MISSES_THE_FIRST,
    SUM_OF_TWO,
    SURVIVOR,
    TIMES_THREE,
    TRIPLES,
    cell_of,
    hidden,
    make_course,
)
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import read_master
from torchgrade.lessons.report import Report
from torchgrade.lessons.trials import try_variants


def report(
    root: Path, bank: str, change: Callable[[Any], None] = lambda notebook: None, seconds: float = 30.0
) -> Report:
    master = read_master(make_course(root, bank, change), LESSON)
    return Report(master, tuple(try_variants(master, read_bank(master.bank_path), seconds=seconds)))


@pytest.fixture
def left_over() -> Callable[[], set[psutil.Process]]:
    """The processes that this test started and that still run."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: set(psutil.Process().children(recursive=True)) - before


def only(found: Report) -> dict[str, Any]:
    (entry,) = found.to_dict()["variants"]
    return entry


def test_a_good_bank_is_clean(tmp_path):
    found = report(tmp_path, GOOD_BANK)
    assert found.is_clean
    assert found.summary == f"{LESSON}: killed 3/3, accepted 2/2"
    counts = found.to_dict()["by_exercise"]
    assert counts["double"] == {"killed": 2, "total": 2, "accepted": 1, "accepted_total": 1}
    assert counts["total"] == {"killed": 1, "total": 1, "accepted": 1, "accepted_total": 1}


def test_a_mistake_that_no_cell_catches_survives(tmp_path):
    found = report(tmp_path, GOOD_BANK + SURVIVOR)
    assert [trial.variant.text for trial in found.survivors] == ["items is emptied"]
    assert not found.is_clean
    assert found.summary == f"{LESSON}: killed 3/4, accepted 2/2"


def test_the_entry_says_where_and_how_a_mistake_dies(tmp_path):
    entry = only(report(tmp_path, MARKS + ADDS_TWO))
    assert entry["killed"] and entry["is_mistake"]
    assert entry["first_killer"] == "double_values"  # the visible cell asks for double(2), where both agree
    assert entry["kind"] == "WrongValues"
    assert entry["message"].startswith("twice: expected 0.246913, got 2.12")
    assert (entry["see"], entry["line"]) == ("7.1", 4)


def test_later_cells_use_the_mistake_in_place(tmp_path):
    entry = only(report(tmp_path, MARKS + ADDS_TWO))
    assert entry["killers"] == ["double_values", "total_project"]
    assert entry["elsewhere"] == ["total_project"]


def test_a_slow_cell_of_another_exercise_runs_for_the_solved_lesson_alone(tmp_path):
    def make_slow(notebook):
        cell_of(notebook, "total_project").source += "\n# check.speed( as its text says)"

    (entry,) = report(tmp_path / "slow", MARKS + TRIPLES, make_slow).to_dict()["variants"]
    assert "total_project" not in entry["killers"]
    (entry,) = report(tmp_path / "quick", MARKS + TRIPLES).to_dict()["variants"]
    assert "total_project" in entry["killers"]


def test_an_endless_loop_is_killed_by_time_and_leaves_no_process(tmp_path, left_over, monkeypatch):
    monkeypatch.setattr("torchgrade.lessons.trials.PATIENCE", 100)  # not by the clock
    started = time.monotonic()
    entry = only(report(tmp_path, MARKS + FOR_EVER, seconds=3.0))
    assert (entry["killed"], entry["first_killer"], entry["kind"]) == (True, "double_check", "time")
    assert time.monotonic() - started < 60
    assert not left_over()


def test_an_endless_loop_outside_the_graded_cells_is_killed_too(tmp_path):
    def call_it(notebook):
        notebook.cells.insert(4, new_code_cell("double(1)"))

    found = report(tmp_path, MARKS + FOR_EVER, call_it, seconds=3.0)
    entry = only(found)
    assert (entry["killed"], entry["first_killer"], entry["kind"]) == (True, None, "time")


def sleeps(seconds, mark):
    return f"{mark}\ndef double(x):\n    import time\n    time.sleep({seconds})\n    return 2 * x\n"


def test_a_right_answer_that_has_to_wait_is_not_rejected(tmp_path):
    """A busy machine has it wait for a processor; what counts is how long it computes."""
    assert not report(tmp_path, MARKS + sleeps(1.5, '@accepted("double", "slow")'), seconds=1.0).rejected


def test_a_mistake_that_waits_for_ever_is_killed_by_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr("torchgrade.lessons.trials.PATIENCE", 3)
    entry = only(report(tmp_path, MARKS + sleeps(1000, '@mistake("double", "it waits", see="7.1")'), seconds=1.0))
    assert (entry["killed"], entry["first_killer"], entry["kind"]) == (True, "double_check", "time")


def test_a_crash_costs_the_cell_and_not_the_run(tmp_path):
    crash = '@mistake("double", "it ends Python", see="7.1")\ndef double(x):\n    import os\n    os.abort()\n'
    entry = only(report(tmp_path, MARKS + crash))
    assert (entry["killed"], entry["first_killer"], entry["kind"]) == (True, "double_check", "crash")
    assert entry["killers"] == ["double_check", "double_values"]


def test_a_right_answer_that_a_cell_refuses_is_rejected(tmp_path):
    found = report(tmp_path, GOOD_BANK + ADDS_TWO.replace("@mistake", "@accepted").replace(', see="7.1"', ""))
    assert [trial.variant.exercise for trial in found.rejected] == ["double"]
    assert not found.is_clean
    assert found.summary == f"{LESSON}: killed 3/3, accepted 2/3"


def test_a_hidden_cell_that_only_repeats_the_visible_ones_is_idle(tmp_path):
    found = report(tmp_path, MARKS + TRIPLES + MISSES_THE_FIRST)
    assert found.idle_cells == ["double_values", "total_values", "total_project"]
    assert not found.survivors and not found.rejected and not found.is_clean


def test_a_project_may_catch_what_its_parts_do_wrong(tmp_path):
    """ADDS_TWO, a mistake in `double` that no visible cell catches, fails total_project."""
    found = report(tmp_path, MARKS + ADDS_TWO + MISSES_THE_FIRST)
    assert found.idle_cells == ["total_values"]


def mistake(text: str, body: str, exercise: str = "total", argument: str = "items") -> str:
    return f'@mistake("{exercise}", "{text}", see="7.2")\ndef {exercise}({argument}):\n    {body}\n\n\n'


def unseparated(found: Report) -> list[tuple[str, ...]]:
    return [tuple(trial.variant.text for trial in pair) for pair in found.unseparated]


def test_mistakes_with_the_same_results_in_every_cell_are_not_separated(tmp_path):
    found = report(tmp_path, MARKS + TRIPLES + ADDS_TWO + TIMES_THREE)
    assert unseparated(found) == [("it adds the number twice", "it multiplies by three")]
    assert found.to_dict()["unseparated"] == [{"exercise": "double", "lines": [4, 12]}]


def test_mistakes_that_say_the_same_need_not_be_separated(tmp_path):
    same = TIMES_THREE.replace("it multiplies by three", "it adds the number twice")
    assert unseparated(report(tmp_path, MARKS + TRIPLES + same)) == []
    elsewhere = same.replace("7.1", "7.2")  # the feedback would have to choose a section
    assert len(unseparated(report(tmp_path / "elsewhere", MARKS + TRIPLES + elsewhere))) == 1


def test_a_mistake_that_another_one_hides_is_not_separated(tmp_path):
    """It fails one cell, in which another one looks like it; that the other one fails more does not help it."""
    hidden_one = mistake("it triples all but two", "return 4 if x == 2 else 3 * x", "double", "x")
    assert unseparated(report(tmp_path, MARKS + hidden_one + TRIPLES)) == [
        ("it triples all but two", "it adds the number twice")
    ]


def test_mistakes_are_separated_by_a_cell_that_only_one_of_them_fails(tmp_path):
    def ask_for_another_total(notebook):
        cell_of(notebook, "total_project").source = hidden('check.close(check.run(lambda: total([7])), 7, "one")')

    zero_but = "return 0 if len(items) in {} else sum(items)"
    bank = mistake("not two or three", zero_but.format((2, 3))) + mistake("not one or three", zero_but.format((1, 3)))
    found = report(tmp_path, MARKS + bank, ask_for_another_total)
    assert [entry["killers"] for entry in found.to_dict()["variants"]] == [
        ["total_check", "total_values"],
        ["total_values", "total_project"],
    ]
    assert unseparated(found) == []


def test_mistakes_are_separated_by_their_errors_too(tmp_path):
    bank = mistake("one", "raise ValueError(1)") + mistake("two", "raise ValueError(2)") + mistake("key", "[][1]")
    same_as_two = mistake("two again", "raise ValueError(sum(map(len, ('ab',))))")
    assert unseparated(report(tmp_path, MARKS + bank + same_as_two)) == [("two", "two again")]


def test_mistakes_of_method_are_separated_by_what_the_check_says(tmp_path):
    def forbid_loops(notebook):
        cell_of(notebook, "total_values").source = hidden('check.forbids("total", ("for", "while"), "sum it")')

    loops = mistake("a comprehension", "return sum([item for item in items])")
    loops += mistake("a generator", "return sum(list(item for item in items))")  # uses other names
    loops += mistake("a while loop", "while False: pass\n    return sum(items)")
    found = report(tmp_path, MARKS + loops, forbid_loops)
    assert not found.survivors and unseparated(found) == [("a comprehension", "a generator")]


def test_every_mistake_is_asked_the_same(tmp_path):
    """A cell that draws its own numbers draws the same ones, whatever a mistake has drawn before."""

    def draw(notebook):
        test = "import torch\n\nx = torch.rand(3)\ncheck.close(check.run(lambda: double(x)), 2 * x, 'twice')"
        cell_of(notebook, "double_values").source = hidden(test)

    draws = "import torch\n\n\n" + mistake("it draws", "return 3 * x", "double", "x, drawn=torch.rand(7)")
    assert unseparated(report(tmp_path, MARKS + draws + TIMES_THREE, draw)) == [("it draws", "it multiplies by three")]


def test_mistakes_that_leave_nothing_to_compare_are_not_paired(tmp_path):
    """The feedback says that the process ended, or that there is no answer, and names no mistake."""
    bank = "".join(mistake(f"crash {number}", "import os; os.abort()") for number in (1, 2))
    bank += "".join(mistake(f"stub {number}", "raise NotImplementedError", "double", "x") for number in (1, 2))
    found = report(tmp_path, MARKS + bank)
    assert not found.survivors and unseparated(found) == []


def test_crude_deaths_are_those_by_exception_or_shape_alone(tmp_path):
    stops = '@mistake("total", "it stops", see="7.2")\ndef total(items):\n    return sum(items) / 0\n'
    wrong_type = '@mistake("total", "it returns text", see="7.2")\ndef total(items):\n    return str(sum(items))\n'
    found = report(tmp_path, MARKS + stops + wrong_type + MISSES_THE_FIRST + ADDS_TWO)
    assert [entry["kind"] for entry in found.to_dict()["variants"]][:2] == ["StudentRaised", "WrongType"]
    assert found.crude == 0.5


def test_an_exception_in_a_cell_that_the_solution_passes_is_the_mistakes_fault(tmp_path):
    def index_the_result(notebook):
        cell_of(notebook, "total_values").source = hidden("assert check.run(lambda: [total([40, 2])])[0] + 0 == 42")

    nothing = '@mistake("total", "the return is missing", see="7.2")\ndef total(items):\n    sum(items)\n'
    entry = only(report(tmp_path, MARKS + nothing, index_the_result))
    assert entry["killers"] == ["total_check", "total_values"]


def test_one_graded_cell_cannot_change_what_the_next_one_sees(tmp_path):
    right_once = """
@accepted("double", "right the first time")
def double(x, calls=[]):
    calls.append(x)
    return 2 * x if len(calls) == 1 else 0
"""
    assert not report(tmp_path, MARKS + right_once).rejected


def test_one_graded_cell_cannot_break_the_random_numbers_of_the_next(tmp_path):
    """The lesson's state is the same in every fork: Python would seed anew."""

    def draw(notebook):
        notebook.cells[1].source = "import random\n\nFACTOR = 2\nrandom.seed(3)"
        notebook.cells.insert(4, new_code_cell("DRAWN = random.random()"))
        cell_of(notebook, "double_check").source = CHECK.format(
            "7.1", 'check.run(lambda: DRAWN), 0.23796462709, "drawn"'
        )

    assert not report(tmp_path, MARKS + SUM_OF_TWO, draw).rejected


def test_helpers_of_the_bank_are_there_decorators_included(tmp_path):
    helper = "def twice(fn):\n    return lambda x: 2 * fn(x)\n\n\n@twice\ndef same(x):\n    return x\n\n\n"
    bank = MARKS + helper + '@accepted("double", "by a helper")\ndef double(x):\n    return same(x)\n'
    assert not report(tmp_path, bank).rejected


def test_cells_may_write_files_which_neither_variants_nor_the_lesson_see(tmp_path):
    def write_a_file(notebook):
        cell = next(cell for cell in notebook.cells if "class Machine" in cell.source)
        cell.source = f"open('log.txt', 'x').write('a second time is an error')\n\n\n{cell.source}"

    found = report(tmp_path, MARKS + SUM_OF_TWO + SUM_OF_TWO + SUM_OF_TWO, write_a_file)
    assert not found.rejected
    assert sorted(os.listdir(tmp_path / "source" / LESSON)) == [f"{LESSON}.ipynb", "mistakes.py"]


def test_output_of_the_lesson_does_not_reach_the_terminal(tmp_path, capfd):
    def talk(notebook):
        notebook.cells[1].source = "import os\n\nFACTOR = 2\nprint('loud')\nos.system('echo louder >&2')"

    report(tmp_path, MARKS + SUM_OF_TWO, talk)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def spoil(grade_id: str, source: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell_of(notebook, grade_id).source = source

    return change


@pytest.mark.parametrize(
    ("bank", "change", "expected"),
    [
        (
            GOOD_BANK,
            spoil("double_check", "assert FACTOR == 2"),
            ["cell double_check: the solved lesson fails: NameError", "'FACTOR'", "starts from nothing"],
        ),
        (
            GOOD_BANK,
            spoil(
                "total_check", "from torchgrade import check\n\ncheck.close(check.run(lambda: total([1])), 2, 'one')"
            ),
            ["cell total_check: the solved lesson fails: WrongValues: one: expected 2, got 1", "Mend the test"],
        ),
        (
            GOOD_BANK,
            spoil("total", "def total(items):\n    return sum(items)\n\n\ntotal(3)"),
            ["cell 8: the solved lesson stops with TypeError"],
        ),
        (
            GOOD_BANK,
            spoil("total_values", "assert 1 == 1 +"),
            ["cell total_values: the solved lesson fails: SyntaxError"],
        ),
        (
            MARKS + '@mistake("triple", "no such answer", see="7.1")\ndef triple(x):\n    return x\n',
            spoil("why", "x"),
            ["mistakes.py:3: no exercise 'triple'", "Answers here: double, total"],
        ),
        (
            MARKS + '@mistake("double", "another name", see="7.1")\ndef dbl(x):\n    return x\n',
            spoil("why", "x"),
            ["mistakes.py:3: this defines no name that the answer 'double' defines", "Define one of: double"],
        ),
        (
            MARKS + '@mistake("double", "cannot be defined", see="7.1")\ndef double(x=UNKNOWN):\n    return x\n',
            spoil("why", "x"),
            ["mistakes.py:3: this definition stopped with NameError", "'UNKNOWN'"],
        ),
    ],
)
def test_an_authors_error_is_named_and_is_no_kill(tmp_path, left_over, bank, change, expected):
    with pytest.raises(CourseError) as error:
        report(tmp_path, bank, change)
    for words in expected:
        assert words in str(error.value)
    assert not left_over()
