"""Judge the cells of one submission in a process of their own: what a student sends may cost that process, no more."""

import os
import resource
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace

from torchgrade.judge import cell, frames
from torchgrade.judge.diagnosis import diagnose
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import SECONDS_PER_CELL, Patience, Question, seconds_from_now
from torchgrade.judge.remote import RemoteStudent
from torchgrade.judge.verdict import Kind, Verdict
from torchgrade.lessons.alike import Answers
from torchgrade.lessons.bank import Bank
from torchgrade.lessons.forked import end_with_parent
from torchgrade.lessons.master import Master

MEMORY = 4 << 30  # bytes of data for the process that takes a student's answers apart


def judge_all(
    questions: Sequence[Question], patience: Patience, master: Master, bank: Bank | None, lesson: SolvedLesson
) -> list[Verdict]:
    """One verdict per question, in order, whatever the students' processes do."""
    verdicts: list[Verdict] = []
    while len(verdicts) < len(questions):
        rest = questions[len(verdicts) :]
        verdicts += _in_a_child(rest, patience, master, bank, lesson)
        if len(verdicts) < len(questions):  # it died in this cell, of the student's answer or of the cell itself
            verdicts.append(_after_a_death(questions[len(verdicts)], lesson))
    return verdicts


def _in_a_child(
    questions: Sequence[Question], patience: Patience, master: Master, bank: Bank | None, lesson: SolvedLesson
) -> list[Verdict]:
    """The verdicts that a child reaches before its end, or before a cell takes too long."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            end_with_parent(parent)
            ours.close()
            _limit()
            for question in questions:
                verdict = _judge_one(question, patience, master, bank, lesson)
                frames.send(theirs, verdict.to_dict())
        finally:
            os._exit(0)
    theirs.close()
    found: list[Verdict] = []
    with ours:
        try:
            for _ in questions:
                header, _ = frames.receive(ours, deadline=seconds_from_now(SECONDS_PER_CELL))
                found.append(Verdict.from_dict(header))
        except frames.BadFrame:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return found


def _judge_one(
    question: Question, patience: Patience, master: Master, bank: Bank | None, lesson: SolvedLesson
) -> Verdict:
    deadline = min(seconds_from_now(patience.cell), patience.until)
    who = RemoteStudent(question.connection, deadline=deadline, latest=patience.until)
    verdict = cell.judge(question.grade_id, question.source, who, lesson)
    question.connection.close()
    measured = verdict.speed is not None  # then a mistake's answers say nothing about the student's
    if verdict.kind is not Kind.FAILED or measured or bank is None or not lesson.knows(question.grade_id):
        return verdict
    exercise = master.exercise_of(question.grade_id)
    answers = Answers(tuple(who.heard), verdict.message)
    found = diagnose(question.grade_id, exercise, question.source, answers, lesson, bank)
    return replace(verdict, diagnosis=found)


def _after_a_death(question: Question, lesson: SolvedLesson) -> Verdict:
    """The author's answer decides, as always: in a child of its own, for it may be the cell that kills."""
    child = os.fork()
    if child == 0:
        passes = False
        try:
            _limit()
            passes = not cell.fault_of_grader(question.grade_id, question.source, lesson)
        finally:
            os._exit(0 if passes else 1)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return cell.not_comparable(question.grade_id, "it ended the process that looked at it")
    detail = "The judge's own process ends in this cell, also with the author's solution."
    return Verdict(question.grade_id, Kind.GRADER_ERROR, detail=detail, failure="GraderError")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
