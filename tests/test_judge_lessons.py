"""Every lesson: its tests bite; under the judge full marks for the solution, the same verdicts, mistakes named."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from torchgrade.judge import cell
from torchgrade.judge.diagnosis import answers_of, the_only_one
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.verdict import Kind
from torchgrade.lessons.alike import Answers
from torchgrade.lessons.bank import Variant, read_bank
from torchgrade.lessons.master import lesson_names, read_master
from torchgrade.lessons.report import Report
from torchgrade.lessons.trials import try_variants

ROOT = Path(__file__).parents[1]
NAMED = 0.95  # of the mistakes

pytestmark = pytest.mark.course


@pytest.fixture(scope="module", params=lesson_names(ROOT))
def lesson(request):
    return request.param


@pytest.fixture(scope="module")
def solved(lesson):
    """The lesson, its bank, and the process in which its solution has run."""
    before = os.getcwd()
    master = read_master(ROOT, lesson)
    process = SolvedLesson(master)
    yield master, read_bank(master.bank_path), process
    process.close()
    os.chdir(before)


def judged(lesson, master, grade_id, answer=None):
    """(verdict, what the student was heard to say) on one cell; again if the machine was too busy to decide."""
    source = master.graded[grade_id].source
    for _ in range(3):
        with lesson.student_at(grade_id, answer, deadline=seconds_from_now(60)) as who:
            verdict = cell.judge(grade_id, source, who, lesson)
        if verdict.kind is not Kind.INCONCLUSIVE:
            break
    return verdict, who.heard


def require_that_tests_bite(found):
    """found: what a report says, as in `torchgrade lesson mistakes --json`"""
    mistakes, accepted = ([v for v in found["variants"] if v["is_mistake"] is kind] for kind in (True, False))
    assert [v["text"] for v in mistakes if not v["killed"]] == []
    assert [(v["text"], v["killers"], v["kind"], v["message"]) for v in accepted if v["killed"]] == []
    assert found["idle_cells"] == []
    assert len(mistakes) >= 30
    assert len(accepted) >= 10
    assert found["crude"] <= 1 / 3
    thin = {name: n for name, n in found["by_exercise"].items() if n["total"] < 3 or n["accepted_total"] < 2}
    assert thin == {}, "at least 3 wrong and 2 right ways per exercise"


@pytest.mark.unchanged
def test_the_solution_passes_every_cell(solved):
    master, _, lesson = solved
    kinds = {grade_id: judged(lesson, master, grade_id)[0].kind for grade_id in master.graded}
    assert set(kinds.values()) == {Kind.PASSED}, kinds


@pytest.mark.unchanged
def test_each_mistake_loses_points_under_the_judge_too_and_is_named(solved, record_property):
    master, bank, lesson = solved
    wrong: dict[tuple[str, str], list[tuple[Variant, Answers]]] = defaultdict(list)  # (exercise, cell) -> who fails it
    again: dict[tuple[str, str], list[tuple[Variant, Answers | None]]] = defaultdict(list)
    report = Report(master, tuple(try_variants(master, bank)))
    require_that_tests_bite(report.to_dict())
    for trial in report.trials:
        variant = trial.variant
        answer = f"{bank.prelude}\n{variant.source}"
        own = [grade_id for grade_id in master.graded if master.exercise_of(grade_id) == variant.exercise]
        found = {grade_id: judged(lesson, master, grade_id, answer) for grade_id in own}
        failing = {grade_id for grade_id, (verdict, _) in found.items() if verdict.kind is not Kind.PASSED}
        where = f"{bank.path}:{variant.line}"
        said = [where, *(verdict.for_staff for verdict, _ in found.values())]
        assert failing == {failure.cell for failure in trial.failures} & set(own), said
        assert not any(verdict.needs_person for verdict, _ in found.values()), said
        for grade_id in failing if variant.is_mistake else ():
            verdict, heard = found[grade_id]
            key = variant.exercise, grade_id
            if verdict.speed is None:  # as in judge.session
                wrong[key].append((variant, Answers(tuple(heard), verdict.message)))
                source, deadline = master.graded[grade_id].source, seconds_from_now(60)
                again[key].append((variant, answers_of(variant, grade_id, source, lesson, bank, deadline)))
    named = set()
    for key, failed in wrong.items():
        for variant, answers in failed:
            diagnosis = the_only_one(answers, again[key])
            assert diagnosis is None or diagnosis.misconception == variant.text, (
                f"{bank.path}:{variant.line}: taken for another mistake: {diagnosis}"
            )
            if diagnosis:
                named.add(variant.line)
    unnamed = [f"{bank.path}:{mistake.line}: {mistake.text}" for mistake in bank.mistakes if mistake.line not in named]
    rate = 1 - len(unnamed) / len(bank.mistakes)
    said = [f"{master.name}: {rate:.0%} of {len(bank.mistakes)} mistakes named in the feedback", *unnamed]
    record_property(f"table of diagnosis, {master.name}", "\n  ".join(said))
    assert rate >= NAMED
