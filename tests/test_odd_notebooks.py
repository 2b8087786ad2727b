"""nbgrader's own odd notebooks: graded here as by stock nbgrader, except where the table says why not."""

import json
import shutil
from pathlib import Path

import odd_notebooks as odd
import pytest
from exploit_corpus import table
from small_course import nbgrader

STOCK = Path(__file__).parent / "odd_notebooks.json"
HONEST = "preprocessors/warning-pattern"  # its student comes after all others
# reason -> the notebooks that are graded otherwise because of it
REASONS = {
    "what a cell is comes from the master": (
        *("preprocessors/submitted-answer-cell-type-changed", "preprocessors/submitted-grade-cell-type-changed"),
        *("preprocessors/cell-type-changed", "preprocessors/bad-markdown-cell-1", "preprocessors/bad-markdown-cell-2"),
        *("preprocessors/blank-grade-id", "preprocessors/blank-points", "preprocessors/duplicate-grade-ids"),
    ),
    "a missing cell is put back and counts as unanswered": ("preprocessors/no-cell-type",),
    "an old or new format of the metadata stops nobody": (
        *("apps/test-v0", "apps/test-v0-invalid", "apps/test-v1", "apps/test-v2", "apps/too-new"),
    ),
    "an answer without metadata is found by what it defines": (
        *("apps/test-no-metadata", "apps/test-no-metadata-autotest"),
    ),
    "the kernel's own word for the error is not believed": (
        *("apps/submitted-cheat-attempt", "apps/submitted-cheat-attempt-alternative"),
    ),
    "one error, which says what happened": ("apps/infinite-loop", "apps/infinite-loop-with-output", "apps/timeout"),
    "files are written in the sandbox, and end with it": ("apps/side-effects",),
    "code cannot ask whether it is being graded": ("apps/validating-environment-variable",),
}
ON_PURPOSE = {name: reason for reason, names in REASONS.items() for name in names}
# Which of the two it is depends on the machine: this one may differ, and may not.
SLOW = {"preprocessors/infinite-recursion": "with PyTorch loaded, a traceback of 1000 frames takes IPython seconds"}
pytestmark = pytest.mark.xdist_group("odd notebooks")


def test_every_notebook_of_the_wheel_is_looked_at():
    assert odd.shipped() == set(odd.SUBMISSIONS) | set(odd.MASTER)


@pytest.mark.course
def test_they_are_graded_as_by_stock_nbgrader_or_otherwise_on_purpose(tmp_path, record_property):
    root = odd.course(tmp_path, stock=False)
    odd.submit(root, odd.MASTER)
    nbgrader(root, "autograde", odd.LESSON)
    stock = json.loads(STOCK.read_text(encoding="utf8"))
    rows, wrong = [("notebook", "stock nbgrader", "here", "because")], []
    for name in odd.MASTER:
        there, here = stock[name], odd.result(root, name).text
        why = ON_PURPOSE.get(name) or (SLOW.get(name, "") if here != there else "")
        rows.append((name, there, "same" if here == there else here, why))
        if (here != there) != bool(why):
            wrong.append(name)
    record_property("table of nbgrader's odd notebooks", table(rows))
    assert not wrong


@pytest.fixture(scope="module")
def stock_course(tmp_path_factory):
    return odd.course(tmp_path_factory.mktemp("stock"), stock=True)


@pytest.mark.soak
@pytest.mark.parametrize("name", odd.MASTER)
def test_what_stock_nbgrader_makes_of_each_is_recorded(name, stock_course, tmp_path):
    """Into odd_notebooks.json, which the table above shows. Each alone but for an honest student, whom it may stop."""
    root = tmp_path / "course"
    shutil.copytree(stock_course, root)
    odd.submit(root, {name, HONEST})
    nbgrader(root, "autograde", odd.LESSON)
    text = odd.result(root, name).text
    if odd.result(root, HONEST).points is None:
        text += ", the batch stops"
    stock = json.loads(STOCK.read_text(encoding="utf8")) | {name: text}
    STOCK.write_text(json.dumps({name: stock[name] for name in odd.MASTER if name in stock}, indent=1) + "\n", "utf8")
