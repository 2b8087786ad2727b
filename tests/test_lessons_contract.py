"""What every lesson promises: each count below its floor and each missing part is a finding of its own."""

import re
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from spoiled_lesson import LESSON, inserted, spoiled
from torchgrade.lessons import rules_contract
from torchgrade.lessons.master import Master, read_master
from torchgrade.lessons.rules_contract import CONTRACT, holds_enough, hours_fit
from torchgrade.lessons.rules_shape import PARTS, holds_every_part

PROMISES = {
    "kb": 30,
    "examples": 14,
    "plots": 7,
    "exercises": 5,
    "written": 1,
    "predictions": 3,
    "minutes": 1,
    "mistakes": 30,
    "accepted": 10,
}
WHOLE = """# Lesson 08
**After this lesson you can**
- do it
## The big picture
> **Where it breaks.** Here.
### Exercise 8.1 · Find the bug: it is here
### Exercise 8.2 · Project: all of it
## The ladder
## Recap
- [ ] Do it.

**Further reading**
- [A paper](https://example.org)

**Next**: lesson 09."""
SOURCE = Path("source")
WARM_UP = "### Warm-up: three questions\n" + "<details><summary>1</summary>Yes.</details>\n" * 3


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    return read_master(spoiled(tmp_path_factory.mktemp("course"), inserted(0)), LESSON)


def test_the_contract_is_the_guides():
    assert {name: least for name, least, _ in CONTRACT} == PROMISES


@pytest.mark.parametrize("name", PROMISES)
def test_one_below_the_floor_is_refused_and_the_floor_is_enough(master, monkeypatch, name):
    counts: dict[str, Any] = dict(PROMISES)
    monkeypatch.setattr(rules_contract, "stats", lambda master, bank: counts)
    assert [*holds_enough(master)] == []
    counts[name] -= 1
    (finding,) = holds_enough(master)
    text = finding.text(master)
    assert text.startswith(f"{master.path}: the lesson: {name}: {counts[name]}, and the course promises")
    assert "Add: " in text


def shape(*sources: str) -> list[str]:
    cells = [*map(new_markdown_cell, sources), new_code_cell("torch.set_num_threads(1)")]
    master = Master("08_tiny", SOURCE / "08_tiny", new_notebook(cells=cells))
    return [finding.text(master) for finding in holds_every_part(master)]


def test_a_lesson_with_all_parts_is_whole():
    assert shape(WHOLE, WARM_UP) == []


@pytest.mark.parametrize(("pattern", "what"), [(pattern, what) for pattern, what, _ in PARTS], ids=lambda part: part)
def test_each_missing_part_is_named(pattern, what):
    without = re.sub(pattern, "gone ", WHOLE, flags=re.MULTILINE)
    assert [text.partition("the lesson: ")[2].partition(". Add")[0] for text in shape(without, WARM_UP)] == [what]


@pytest.mark.parametrize(
    ("sources", "what"),
    [
        ((WHOLE,), "no warm-up of three questions"),
        ((WHOLE, WARM_UP.replace("<details>", "", 1)), "no warm-up of three questions"),
        ((WHOLE.replace("Find the bug", "Write"), WARM_UP), "no exercise is to find a bug"),
    ],
)
def test_warm_up_and_bug_are_asked_for(sources, what):
    (text,) = shape(*sources)
    assert "08_tiny.ipynb: the lesson: " in text and what in text


def test_a_lesson_that_trains_needs_sanity_habits_and_one_thread():
    cells = [new_markdown_cell(WHOLE), new_markdown_cell(WARM_UP), new_code_cell("loss.backward()")]
    master = Master("08_tiny", SOURCE / "08_tiny", new_notebook(cells=cells))
    habits, threads = (finding.text(master) for finding in holds_every_part(master))
    assert "it trains without sanity habits" in habits and "> **Sanity habits**" in habits
    assert "it leaves the number of threads open" in threads and "torch.set_num_threads(1)" in threads


def course(minutes: int, lessons: int) -> list[Master]:
    table = new_markdown_cell(f"| part | minutes |\n|---|---|\n| a | {minutes} |")
    return [Master(f"{n:02}_a", SOURCE / f"{n:02}_a", new_notebook(cells=[table])) for n in range(lessons)]


@pytest.mark.parametrize(("minutes", "hours", "remedy"), [(270, 67.5, "Shorten"), (150, 37.5, "Add to")])
def test_fifteen_lessons_take_40_to_60_hours(minutes, hours, remedy):
    said = hours_fit(course(minutes, 15))
    assert said is not None and said.startswith(f"source: all lessons: {hours} hours")
    assert remedy in said


@pytest.mark.parametrize(("minutes", "lessons"), [(160, 15), (240, 15), (270, 14)])
def test_hours_within_the_promise_or_of_an_unfinished_course_are_fine(minutes, lessons):
    assert hours_fit(course(minutes, lessons)) is None
