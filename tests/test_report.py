"""What a class reads after grading: the feedback page, the class report, what waits for a person, the debrief."""

import csv
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader.api import Gradebook
from small_course import nbgrader, write
from small_lesson import GOOD_BANK, LESSON, cell_of, make_course
from torchgrade.autograde.judging import MIME
from torchgrade.autograde.unfinished import mark
from torchgrade.errors import CourseError
from torchgrade.feedback.hide import Outcome, outcome_in
from torchgrade.feedback.size import AROUND, MAX_OUTPUTS, KeepSmall
from torchgrade.judge.verdict import Kind, Verdict
from torchgrade.lessons.master import read_notebook
from torchgrade.report import debrief, page, review

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("report")]

RIGHT = {"double": "def double(x):\n    return FACTOR * x", "total": "def total(items):\n    return sum(items)"}
ADDS = {"double": "def double(x):\n    return FACTOR + x"}
MARKUP = "<b>bold<"
STUDENTS = {"right": {}, "adds": ADDS, "adds-too": ADDS, "=cmd": {}, "blank": None, MARKUP: ADDS}
CHANGED = "This lesson was changed after your work was graded"
PICTURES = """
import os
from IPython.display import Image, display
for n in range(9):
    display(Image(os.urandom(60000), format="png"))
"""


def with_headings(notebook):
    for grade_id, number, title in [("double", "7.1", "Doubling"), ("total", "7.2", "Adding up")]:
        place = notebook.cells.index(cell_of(notebook, grade_id))
        section = new_markdown_cell(f"## {number} · A section", id=f"section-{grade_id}")
        exercise = new_markdown_cell(f"### Exercise {number} · {title}\nWrite it.", id=f"exercise-{grade_id}")
        notebook.cells[place:place] = [section, exercise]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = make_course(tmp_path_factory.mktemp("course"), GOOD_BANK, with_headings)
    assert nbgrader(root, "generate_assignment", LESSON).returncode == 0
    for student, answers in STUDENTS.items():
        notebook = read_notebook(root / "release" / LESSON / f"{LESSON}.ipynb")
        for grade_id, source in ({} if answers is None else RIGHT | answers).items():
            cell_of(notebook, grade_id).source = source
        if student == "right":
            cell_of(notebook, "total").source += f"\n{PICTURES}"
        if answers is not None:
            cell_of(notebook, "why").source = "Because."
        write(root / "submitted" / student / LESSON / f"{LESSON}.ipynb", notebook)
    done = nbgrader(root, "autograde", LESSON)
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{root}/gradebook.db", "pytorch") as gradebook:
        gradebook.update_or_create_student("absent")
        comment = gradebook.find_comment("why", LESSON, LESSON, "adds")
        comment.manual_comment = "Say *more* <script>alert(1)</script>"
        grade = gradebook.find_grade("why", LESSON, LESSON, "adds")
        grade.manual_score, grade.needs_manual_grade = 1, False
        gradebook.db.commit()
    done = nbgrader(root, "generate_feedback", LESSON)
    assert done.returncode == 0, done.stderr
    return root


def feedback(course, student):
    return (course / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf8")


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_the_page_begins_with_what_to_mend_first(course):
    top = text_of(feedback(course, "adds").split("<section")[0])
    assert "5 of 10 points" in top
    assert "Begin with Exercise 7.1: Doubling" in top
    assert "Nothing to mend." in feedback(course, "right")


def test_a_mistake_is_named_once_per_exercise_with_a_link_to_its_section(course):
    html = feedback(course, "adds")
    part = html[html.index('id="exercise-7.1"') : html.index('id="exercise-7.2"')]
    assert part.count("This is what comes out when it adds two") == 1
    assert 'Section <a href="#section-7.1">7.1</a> explains it.' in part
    assert 'id="section-7.1"' in html


def test_each_check_says_what_it_looks_at_and_how_it_ended(course):
    said = text_of(feedback(course, "adds"))
    assert "✗ Other numbers to mend, 0 of 2 points Hidden checks: a value is wrong." in said
    assert "✓ The check you could run yourself passed, 1 of 1 point" in said
    assert "○ Other numbers not answered, 0 of 2 points" in text_of(feedback(course, "blank"))


def test_an_untouched_answer_in_words_is_not_answered(course):
    assert "○ Your answer in words not answered, 0 of 2 points" in text_of(feedback(course, "blank"))


def test_a_comment_is_shown_and_disarmed(course):
    html = feedback(course, "adds")
    assert "Say <em>more</em>" in html and "<script>alert" not in html


def test_no_person_is_said_to_have_read_an_untouched_answer(course):
    assert "From the person" not in feedback(course, "blank") and "From the person" in feedback(course, "adds")


def test_what_a_person_has_not_read_yet_says_so(course):
    assert "a person will look at it" in feedback(course, "right")
    assert "… Your answer in words" not in text_of(feedback(course, "adds"))


def test_a_page_with_large_pictures_stays_small(course):
    html = feedback(course, "right")
    assert len(html) < 500_000
    assert "left out here" in html and html.count("data:image/png") in range(1, 9)


def test_small_outputs_stay(course):
    notebook = read_notebook(course / "release" / LESSON / f"{LESSON}.ipynb")
    cell = cell_of(notebook, "double")
    most = "x" * (MAX_OUTPUTS - AROUND)
    cell.outputs = [new_output("stream", text=most)]
    KeepSmall().preprocess(notebook, {})
    assert cell.outputs[0].text == most
    cell.outputs.append(new_output("stream", text="y"))
    KeepSmall().preprocess(notebook, {})
    assert "(An output of 249,750 characters is left out" in cell.outputs[0].text and cell.outputs[1].text == "y"


def test_a_thousand_small_outputs_become_one_note(course):
    notebook = read_notebook(course / "release" / LESSON / f"{LESSON}.ipynb")
    cell = cell_of(notebook, "double")
    cell.outputs = [new_output("stream", text="x" * 1000) for _ in range(1000)]
    KeepSmall().preprocess(notebook, {})
    assert cell.outputs[0].text == "(800 outputs of 800,000 characters are left out here, to keep this page small.)"
    assert len(cell.outputs) == 201


def test_the_report_counts_students_not_cells(course):
    (report,) = page.write(course, [])
    assert [(one.text, one.see, sorted(one.students)) for one in report.mistakes] == [
        ("it adds two, which is doubling for 2 alone", "7.1", sorted(["adds", "adds-too", MARKUP]))
    ]
    assert report.missing == ("absent",)
    assert {one.student for one in report.waiting} == {"right", "adds-too", "=cmd", MARKUP}
    assert report.low[0][0] == "blank"
    assert report.shares["right"] == 0.8  # two points of ten wait


def test_what_a_person_has_settled_waits_no_more(course):
    """However many points were given; "adds" has one of two for the answer in words."""
    (report,) = page.write(course, [])
    assert "adds" not in {one.student for one in report.waiting}
    decided = new_output("display_data", data={MIME: Verdict("why", Kind.INCONCLUSIVE).to_dict()})
    cell = new_code_cell(outputs=[decided])
    assert outcome_in(cell, 0.0, 1.0, waits=True) is Outcome.WAITS
    assert outcome_in(cell, 0.0, 1.0, waits=False) is Outcome.FAILED


def test_the_page_of_the_report_is_whole_and_harmless(course):
    page.run(course, [LESSON])
    html = (course / "report.html").read_text(encoding="utf8")
    assert html.count("data:image/png;base64,") == 3 and html.count('alt="') == 3
    assert MARKUP not in html and "&lt;b&gt;bold&lt;" in html
    assert "Nothing from 1: absent." in html and 'src="http' not in html


def test_the_table_of_the_report_holds_no_formula(course):
    page.run(course, [])
    with (course / "report.csv").open(encoding="utf8") as table:
        rows = list(csv.DictReader(table))
    assert {row["student"] for row in rows} == {"'=cmd" if one == "=cmd" else one for one in STUDENTS}
    wrong = [row for row in rows if row["student"] == "adds" and row["grade_id"] == "double_values"]
    assert [(row["score"], row["points"], row["outcome"], row["see"]) for row in wrong] == [
        ("0", "2", "to mend", "7.1")
    ]


def test_the_exported_grades_quote_names_and_hold_no_formula(course):
    with Gradebook(f"sqlite:///{course}/gradebook.db", "pytorch") as gradebook:
        gradebook.update_or_create_student("adds", last_name="Last, First", email="=1+1")
    done = nbgrader(course, "export")
    assert done.returncode == 0, done.stderr
    with (course / "grades.csv").open(encoding="utf8") as table:
        rows = {row["student_id"]: row for row in csv.DictReader(table)}
    assert rows.keys() == {"'=cmd" if one == "=cmd" else one for one in STUDENTS} | {"absent"}
    assert (rows["adds"]["last_name"], rows["adds"]["email"], rows["adds"]["score"]) == ("Last, First", "'=1+1", "5.0")
    assert (rows["absent"]["score"], rows["absent"]["max_score"]) == ("0.0", "10.0")


def test_review_lists_what_waits_with_answer_and_rubric(course, capsys):
    assert review.run(course, []) == 0
    said = capsys.readouterr().out
    assert "Because addition is *repeated counting*" in said and "successor function" in said
    assert "an answer in words: " in said and "4 results wait" in said


def test_the_debrief_holds_solutions_and_mistakes_but_no_hidden_test(course):
    assert debrief.run(course, LESSON) == 0
    path = course / f"{LESSON}_debrief.ipynb"
    text = "\n".join(cell.source for cell in read_notebook(path).cells)
    assert "return FACTOR * x" in text and "- it adds two, which is doubling for 2 alone (3 of 6; section 7.1)" in text
    for secret in ("0.1234567", "BEGIN", "successor function", MARKUP):
        assert secret not in text


def test_the_debrief_waits_for_the_deadline(course):
    with Gradebook(f"sqlite:///{course}/gradebook.db", "pytorch") as gradebook:
        assignment = gradebook.find_assignment(LESSON)
        assignment.duedate = (datetime.now(UTC) + timedelta(hours=1)).replace(tzinfo=None)
        gradebook.db.commit()
        with pytest.raises(CourseError, match=r"it is due .* Run this after the deadline"):
            debrief.run(course, LESSON)
        assignment.duedate = None
        gradebook.db.commit()


def test_a_lesson_changed_after_grading_says_so_until_it_is_graded_again(course, tmp_path, capsys):
    root = shutil.copytree(course, tmp_path / "course")
    for folder in ("submitted", "autograded"):
        for student in STUDENTS.keys() - {"adds", "blank"}:
            shutil.rmtree(root / folder / student)
    assert CHANGED not in text_of(feedback(root, "adds"))
    path = root / "source" / LESSON / f"{LESSON}.ipynb"
    master = read_notebook(path)
    cell_of(master, "double_values").source = cell_of(master, "double_values").source.replace("0.1234567", "0.7654321")
    write(path, master)
    assert nbgrader(root, "generate_feedback", "--force", LESSON).returncode == 0
    old = text_of(feedback(root, "adds"))
    assert CHANGED in old.split("What each exercise got")[0]
    assert re.search(r"Graded on 20\d\d-\d\d-\d\d \d\d:\d\d UTC with version [0-9a-f]{8} of this lesson's tests\.", old)
    assert review.run(root, []) == 0
    said = capsys.readouterr().out
    assert f"{LESSON} was changed after these were graded: adds, blank. To grade them again:" in said
    nbgrader_command, torchgrade_command = ([sys.executable, "-m", name] for name in ("nbgrader", "torchgrade.cli"))
    for line in review.AGAIN.format(lesson=LESSON).splitlines():
        assert line in said
        name, *rest = line.split()
        command = nbgrader_command if name == "nbgrader" else torchgrade_command
        done = subprocess.run([*command, *rest], cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    new = text_of(feedback(root, "adds"))
    assert CHANGED not in new and new[new.index("with version") :] != old[old.index("with version") :]
    review.run(root, [])
    assert "was changed after" not in capsys.readouterr().out


def test_who_is_not_graded_to_the_end_gets_no_page_and_the_others_get_theirs(course, tmp_path):
    root = shutil.copytree(course, tmp_path / "course")
    shutil.rmtree(root / "feedback")
    shutil.rmtree(root / "autograded" / "right")
    path = root / "autograded" / "blank" / LESSON / f"{LESSON}.ipynb"
    notebook = read_notebook(path)
    mark(notebook)
    write(path, notebook)
    done = nbgrader(root, "generate_feedback", LESSON)
    assert done.returncode == 1
    assert "blank: it is not graded to its end. Run nbgrader autograde again." in done.stderr
    pages = {path.parents[1].name for path in (root / "feedback").glob(f"*/{LESSON}/*.html")}
    assert pages == STUDENTS.keys() - {"right", "blank"}


def test_bad_input_is_named(course, tmp_path):
    with pytest.raises(CourseError, match="nobody's 99_none has been graded"):
        page.run(course, ["99_none"])
    empty = make_course(tmp_path)
    with pytest.raises(CourseError, match="no gradebook yet"):
        page.run(empty, [])
