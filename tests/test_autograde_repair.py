"""A submission becomes the lesson again; only its answers, its own cells and their order are believed."""

import copy

import pytest
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbformat.validator import validate
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import determine_grade
from small_course import fill, find, index_of, lesson
from torchgrade.autograde.original import OfficialCell, Original, Place
from torchgrade.autograde.outcome import Stopped, stopped
from torchgrade.autograde.repair import NOTHING_FOUND, repair
from torchgrade.lessons.master import HIDDEN, MARK_SCHEME, SOLUTION, is_demo, nbgrader, without_regions

STUB = "def double(x):\n    raise NotImplementedError()"


@pytest.fixture
def original():
    notebook = lesson()
    fill(notebook, "double", STUB)
    fill(notebook, "largest", "def largest(items):\n    raise NotImplementedError()")
    fill(notebook, "why", "YOUR ANSWER\n### BEGIN MARK SCHEME\nrubric\n### END MARK SCHEME")
    known = [cell for cell in notebook.cells if nbgrader(cell)]
    cells = {
        cell.metadata.nbgrader.grade_id: OfficialCell(
            grade_id=cell.metadata.nbgrader.grade_id,
            cell_type=cell.cell_type,
            source=cell.source,
            locked=cell.metadata.nbgrader.locked,
            solution=cell.metadata.nbgrader.solution,
            task=False,
            points=cell.metadata.nbgrader.get("points"),
        )
        for cell in known
    }
    places = (Place(cell.id, nbgrader(cell).get("grade_id", ""), cell.source, is_demo(cell)) for cell in notebook.cells)
    return Original(cells, tuple(places))


@pytest.fixture
def submission(original):
    """What a student hands in who answered exercise 1.1."""
    notebook = lesson()
    for cell in notebook.cells:
        cell.source = without_regions(cell.source, HIDDEN, MARK_SCHEME, SOLUTION)
    fill(notebook, "double", "def double(x):\n    return 2 * x")
    fill(notebook, "largest", original.cells["largest"].released)
    return notebook


def sound(submission, original):
    """The repaired notebook: valid, every official cell once and in order, tests as the original has them."""
    submission.cells, notes = repair(submission.cells, original)
    validate(submission)
    MetadataValidator().validate_nb(submission)
    grade_ids = [nbgrader(cell)["grade_id"] for cell in submission.cells if nbgrader(cell)]
    assert grade_ids == original.order
    for grade_id in ("double_check", "double_values", "largest_check", "largest_values"):
        cell = find(submission, grade_id)
        assert cell.source == original.cells[grade_id].source
        assert cell.metadata.nbgrader.points == original.cells[grade_id].points
        assert stopped(cell) is Stopped.NotRun
    return submission, notes


def test_an_honest_submission_is_left_alone(submission, original):
    answers = [cell.source for cell in submission.cells if nbgrader(cell).get("solution")]
    repaired, notes = sound(submission, original)
    assert notes == []
    assert [cell.source for cell in repaired.cells if nbgrader(cell).get("solution")] == answers


def test_a_deleted_test_is_put_back_in_its_place(submission, original):
    del submission.cells[index_of(submission, "double_values")]
    repaired, notes = sound(submission, original)
    assert notes == ["the test cell `double_values` was missing; it was put back."]
    assert index_of(repaired, "double_values") == index_of(repaired, "double_check") + 2  # the note stands between


def test_a_deleted_first_answer_is_put_back_after_what_came_before_it(submission, original):
    del submission.cells[index_of(submission, "double")]
    repaired, _ = sound(submission, original)
    assert repaired.cells[index_of(repaired, "double") - 2].source == "### Exercise 1.1 · Double"
    assert find(repaired, "double").source == STUB


def test_a_copied_test_is_kept_once(submission, original):
    index = index_of(submission, "double_check")
    submission.cells[index:index] = [copy.deepcopy(submission.cells[index]) for _ in range(2)]
    _, notes = sound(submission, original)
    assert notes == ["the test cell `double_check` was here 3 times; it was restored once."]


@pytest.mark.parametrize("stub_first", [True, False])
def test_of_a_copied_answer_the_written_one_counts_and_the_stub_does_not_run(submission, original, stub_first):
    index = index_of(submission, "double")
    stub = copy.deepcopy(submission.cells[index])
    stub.source = STUB
    submission.cells.insert(index if stub_first else index + 1, stub)
    repaired, notes = sound(submission, original)
    assert "return 2 * x" in find(repaired, "double").source
    assert STUB not in [cell.source for cell in repaired.cells]
    assert notes == ["the answer cell `double` was here 2 times; the copy below is the one that counts."]


def test_of_two_written_answers_the_last_counts_and_the_other_stays(submission, original):
    index = index_of(submission, "double")
    first = copy.deepcopy(submission.cells[index])
    first.source, first.id = "def double(x):\n    return x", "another"
    submission.cells.insert(index, first)
    repaired, _ = sound(submission, original)
    assert "return 2 * x" in find(repaired, "double").source
    assert first.source in [cell.source for cell in repaired.cells]


def test_flags_points_and_tags_come_from_the_original(submission, original):
    for grade_id in ("double", "double_check", "largest_values"):
        meta = find(submission, grade_id).metadata
        meta.nbgrader.update(
            grade=not meta.nbgrader.grade, solution=not meta.nbgrader.solution, locked=False, points=99
        )
        meta.tags = ["demo", "skip-execution"]
    repaired, notes = sound(submission, original)
    assert len(notes) == 3
    assert not any(is_demo(find(repaired, grade_id)) for grade_id in original.order)


def test_metadata_that_is_no_metadata_is_replaced(submission, original):
    find(submission, "double_check").metadata.nbgrader = from_dict({"grade_id": ["double_check"]})
    find(submission, "double").metadata.nbgrader = []
    submission.cells[0].metadata.nbgrader = from_dict({"grade_id": "no such cell", "schema_version": 1})
    repaired, _ = sound(submission, original)
    assert "return 2 * x" in find(repaired, "double").source


def test_an_answer_without_metadata_and_id_is_found_by_what_it_defines(submission, original):
    for cell in submission.cells:
        cell.metadata, cell.id = from_dict({}), new_code_cell().id
    repaired, _ = sound(submission, original)
    assert "return 2 * x" in find(repaired, "double").source


def test_changed_types_and_tests_are_restored(submission, original):
    find(submission, "double_check").source = "pass"
    index = index_of(submission, "double_values")
    submission.cells[index] = new_markdown_cell("gone", metadata=submission.cells[index].metadata)
    index = index_of(submission, "double")
    answer = submission.cells[index]
    submission.cells[index] = new_markdown_cell(answer.source, metadata=answer.metadata)
    repaired, notes = sound(submission, original)
    assert find(repaired, "double").cell_type == "code"
    assert "return 2 * x" in find(repaired, "double").source
    assert len(notes) == 3


def test_an_answer_merged_into_another_cell_is_not_overwritten(submission, original):
    fill(submission, "double", "def double(x):\n    return 2 * x\n\ndef largest(items):\n    return max(items)")
    del submission.cells[index_of(submission, "largest")]
    repaired, notes = sound(submission, original)
    assert find(repaired, "largest").source == "# largest is defined in another cell."
    assert notes == ["the answer cell `largest` was missing; its answer is in another cell and counts."]


def test_only_the_master_says_what_is_a_demonstration(submission, original):
    mine = new_code_cell("helper = 1", metadata={"tags": ["demo"]})
    submission.cells.insert(2, mine)
    del submission.cells[1].metadata["tags"]
    repaired, _ = sound(submission, original)
    assert is_demo(repaired.cells[1]) and not is_demo(repaired.cells[2])


def test_an_untouched_written_question_counts_as_unanswered(submission, original):
    fill(submission, "why", "YOUR ANSWER")
    repaired, _ = sound(submission, original)
    assert determine_grade(find(repaired, "why")) == (0, 2)
    fill(repaired, "why", "Because.")
    assert determine_grade(find(repaired, "why")) == (None, 2)


def test_a_notebook_in_which_nothing_is_graded_is_not_called_foreign(submission):
    assert repair(submission.cells, Original({}, ()))[1] == []


def test_a_notebook_of_something_else_gets_the_empty_lesson_and_one_note(original):
    other = lesson()
    other.cells = [new_code_cell("print('holiday')")]
    repaired, notes = sound(other, original)
    assert notes == [NOTHING_FOUND]
    assert repaired.cells[0].source == "print('holiday')"
