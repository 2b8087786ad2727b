"""The judge: hostile bytes cost the student alone, and only the author's own solution can put the blame on a test."""

import contextlib
import faulthandler
import json
import os
import socket
import struct
import threading
import time

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from small_lesson import GOOD_BANK, LESSON, cell_of, make_course
from torchgrade.autograde.judging import outputs_of
from torchgrade.check import capture, codec
from torchgrade.check.student import Probe
from torchgrade.errors import CourseError
from torchgrade.judge import agent, frames
from torchgrade.judge.process import Judge
from torchgrade.judge.question import Question, seconds_from_now
from torchgrade.judge.remote import Died, Garbled, NeverThere, RemoteStudent, TimeOut
from torchgrade.judge.verdict import Diagnosis, Kind, Stop, Verdict
from torchgrade.lessons.master import read_master
from torchgrade.lessons.solved import run_source

SIX = ["i", 6]


def pair(serve):
    """A connection to `serve`, which runs in a thread with the other end."""
    ours, theirs = socket.socketpair()

    def run():
        with theirs, contextlib.suppress(OSError):
            serve(theirs)

    threading.Thread(target=run, daemon=True).start()
    return ours


def honest(connection):
    agent.serve(connection, {"__name__": "__main__", "six": 6, "tensor": torch.arange(3.0)})


def ask(serve, expression="six", seconds=2.0):
    run_source(f"def asked():\n    return {expression}", "<asked>", space := {"__name__": "__main__"})
    with pair(serve) as connection:
        student = RemoteStudent(connection, deadline=seconds_from_now(seconds))
        return student.answer(Probe(capture.pack(space["asked"]), 0))


def after_hello(*parts, then=lambda connection: time.sleep(5)):
    """A student who greets, waits for the question, and sends these bytes."""

    def serve(connection):
        frames.send(connection, agent.HELLO)
        frames.receive(connection)
        for part in parts:
            connection.sendall(part)
        then(connection)

    return serve


def framed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">IQ", len(text), len(body)) + text + body


def test_an_honest_answer_arrives():
    reply = ask(honest)
    assert codec.decode(reply.header, reply.body) == 6
    reply = ask(honest, "tensor * 2")
    assert codec.decode(reply.header, reply.body).tolist() == [0, 2, 4]


def test_an_error_arrives_with_its_class():
    reply = ask(honest, "1 / 0")
    assert reply.raised is not None and reply.raised.kinds[0] == "ZeroDivisionError"


DEEP = b"[" * 100_000
HOSTILE = {
    "garbage": b"\0" * 100,
    "a terabyte of header": struct.pack(">IQ", 0xFFFFFFFF, 0),
    "a terabyte of body": struct.pack(">IQ", 2, 1 << 40) + b"{}",
    "not JSON": framed(b"{"),
    "a list": framed([1]),
    "deep JSON": framed(DEEP),
    "no answer": framed({"id": 1}),
    "an answer of no type": framed({"id": 1, "value": 6}),
    "a raised that is text": framed({"id": 1, "raised": "ValueError"}),
    "kinds that are numbers": framed({"id": 1, "raised": {"kinds": [1], "message": "", "lines": []}}),
    "no kinds": framed({"id": 1, "raised": {"kinds": [], "message": "", "lines": []}}),
    "a line that is none": framed({"id": 1, "raised": {"kinds": ["E"], "message": "", "lines": [{"number": True}]}}),
    "a message without end": framed({"id": 1, "raised": {"kinds": ["E"], "message": "x" * 5000, "lines": []}}),
    "what was watched is a list": framed({"id": 1, "value": json.dumps(SIX), "seen": ["x"]}),
    "what nobody watches": framed({"id": 1, "value": json.dumps(SIX), "seen": {"weather": "fine"}}),
    "a fraction of a call": framed({"id": 1, "value": json.dumps(SIX), "seen": {"calls": [0.5]}}),
    "many calls": framed({"id": 1, "value": json.dumps(SIX), "seen": {"calls": ["x"] * 20_000}}),
    "deep calls": framed({"id": 1, "value": json.dumps(SIX), "seen": {"calls": [[[[["x"]]]]]}}),
    "broken": framed({"id": 1, "broken": "cannot be rebuilt"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_unreadable_and_nothing_else(what):
    with pytest.raises(Garbled):
        ask(after_hello(HOSTILE[what]))


def test_an_answer_to_another_question_does_not_count():
    wrong = [framed({"id": number, "value": json.dumps(SIX)}) for number in (0, 2, True, "1", None, 1.0)]
    with pytest.raises(TimeOut):
        ask(after_hello(*wrong), seconds=0.5)


def test_a_slow_drip_does_not_stretch_the_deadline():
    def drip(connection):
        for byte in framed({"id": 1, "value": json.dumps(SIX)}):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    started = time.monotonic()
    with pytest.raises(TimeOut):
        ask(after_hello(then=drip), seconds=0.5)
    assert time.monotonic() - started < 5


def test_a_flood_of_frames_ends_with_the_deadline():
    def flood(connection):
        while True:
            connection.sendall(framed({"id": 99}) * 1000)

    with pytest.raises(TimeOut):
        ask(after_hello(then=flood), seconds=0.5)


def test_an_end_in_the_middle_is_a_death():
    with pytest.raises(Died):
        ask(after_hello(struct.pack(">IQ", 100, 0) + b"{", then=lambda connection: None))


@pytest.mark.parametrize("first", [b"", framed({"hello": "me"}), b"\xff" * 20])
def test_without_the_right_greeting_nobody_is_there(first):
    with pytest.raises(NeverThere):
        ask(lambda connection: connection.sendall(first))


def test_after_a_timeout_nothing_more_is_asked():
    with pair(lambda connection: time.sleep(5)) as connection:
        student = RemoteStudent(connection, deadline=seconds_from_now(0.2))
        for _ in range(3):
            with pytest.raises(TimeOut):
                student.names_used("x")
        assert student.heard == []


def test_a_verdict_survives_json():
    stop = Stop("ValueError", "return x[3]", 2)
    verdict = Verdict("a", Kind.FAILED, "no", "StudentRaised", "x", stop, Diagnosis("it is added", "7.1"), 0.5)
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def test_a_verdict_of_an_older_version_can_be_read():
    record = Verdict("a", Kind.PASSED).to_dict()
    del record["stop"]
    assert Verdict.from_dict(record) == Verdict("a", Kind.PASSED)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("course"), GOOD_BANK)


@pytest.fixture(scope="module")
def master(course):
    return read_master(course, LESSON)


@pytest.fixture(scope="module")
def judge(master):
    with Judge(master) as judge:
        yield judge


def verdict(judge, master, code, grade_id="double_values", source=None):
    """The verdict on one cell for a student whose notebook consists of `code`."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            ours.close()
            space = {"__name__": "__main__"}
            run_source(code, "<student>", space)
            agent.serve(theirs, space)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        found = judge.judge([Question(grade_id, source or cell_of(master.notebook, grade_id).source, ours)])
    os.kill(child, 9)
    os.waitpid(child, 0)
    return found[0]


RIGHT = "def double(x):\n    return 2 * x"


def test_right_and_wrong(judge, master):
    assert verdict(judge, master, RIGHT).kind is Kind.PASSED
    wrong = verdict(judge, master, "def double(x):\n    return 3.5 * x")
    assert (wrong.kind, wrong.failure, wrong.diagnosis) == (Kind.FAILED, "WrongValues", None)


def test_a_known_mistake_is_named_also_when_written_differently(judge, master):
    found = verdict(judge, master, "def double(n):\n    two = 2\n    return n + two", source=None)
    assert found.diagnosis == Diagnosis("it adds two, which is doubling for 2 alone", "7.1")


def test_an_untouched_stub_is_no_answer(judge, master):
    stub = "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert verdict(judge, master, stub).kind is Kind.NO_ANSWER


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import os\ndef double(x): os._exit(0)", Kind.CRASHED),
        ("import ctypes\ndef double(x): ctypes.string_at(0)", Kind.CRASHED),
        ("import os\ndef double(x): os.kill(os.getpid(), 9)", Kind.CRASHED),
        ("def double(x): raise SystemExit", Kind.FAILED),
        ("def double(x): raise KeyboardInterrupt", Kind.CRASHED),
        ("def double(x): return object()", Kind.FAILED),
        ("def double(x): return [x] * 20_000", Kind.FAILED),
        (
            "from torchgrade.check import CellError\ndef double(x): raise CellError('the grader is at fault')",
            Kind.FAILED,
        ),
        ("class E(Exception):\n  def __str__(self): raise ValueError\ndef double(x): raise E", Kind.FAILED),
        ("import torchgrade.judge.agent as a\na._answer = lambda *x: ({'value': 3}, b'')\n" + RIGHT, Kind.UNREADABLE),
        ("import torchgrade.check.codec as c\nc.encode = lambda v: (b'[\"f\", \"nan\"]', b'')\n" + RIGHT, Kind.FAILED),
    ],
)
def test_what_a_student_does_never_waits_for_a_person(judge, master, code, kind):
    found = verdict(judge, master, code)
    assert found.kind is kind and not found.needs_person


def test_a_verdict_says_where_the_students_code_stopped(judge, master):
    found = verdict(judge, master, "def double(x):\n    values = [x]\n    return values[1]")
    assert found.stop == Stop("IndexError", "return values[1]", 3)
    assert verdict(judge, master, "").stop == Stop("NameError")
    assert verdict(judge, master, "def double(x): return 'text'").stop is None
    assert verdict(judge, master, "def double(x):\n    raise NotImplementedError()").stop is None


HALF = {"kinds": ["\ud800"], "message": "\ud800", "lines": [{"function": "\ud800", "number": 1, "text": "\ud800"}]}


@pytest.mark.parametrize("reply", [{"raised": HALF}, {"unsendable": "\ud800"}])
def test_a_verdict_can_be_written_whatever_the_students_process_says(judge, master, reply):
    code = f"import torchgrade.judge.agent as a\na._answer = lambda *x: ({reply!a}, b'')"
    found = verdict(judge, master, code)
    assert found.kind is Kind.FAILED and "\\ud800" in found.message
    nbformat.writes(new_notebook(cells=[new_code_cell(outputs=outputs_of(found))])).encode()


CONVERTS = "from torchgrade import check\n\nlast = check.run(lambda: double(1))[-1]\ncheck.close(last, 2, 'last')"


def test_a_test_that_trips_over_a_result_blames_the_student_if_the_author_passes(judge, master):
    source = "from torchgrade import check\n\nassert 1 / (check.run(lambda: double(1)) - 3)"
    assert verdict(judge, master, RIGHT, source=source).kind is Kind.PASSED
    found = verdict(judge, master, "def double(x): return 3", source=source)
    assert (found.kind, found.failure) == (Kind.FAILED, "NotComparable")


def test_a_test_that_also_stops_for_the_author_is_the_graders_fault(judge, master):
    for source in (CONVERTS, "double(2)", "import no_such_module", "raise SystemExit"):
        found = verdict(judge, master, RIGHT, source=source)
        assert found.kind is Kind.GRADER_ERROR and found.needs_person and found.detail


def test_a_test_that_kills_the_judges_process_costs_no_other_cell(judge, master):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=honest, args=(theirs,), daemon=True).start()
        questions = [Question("double_values", source, ours) for source in ("import os\nos._exit(1)", "x = 1")]
        found = judge.judge(questions)
    assert [one.kind for one in found] == [Kind.GRADER_ERROR, Kind.PASSED]


def test_a_cell_that_the_master_no_longer_has_waits_for_a_person(judge, master):
    found = verdict(judge, master, RIGHT, grade_id="double_values", source="raise RuntimeError")
    assert found.kind is Kind.GRADER_ERROR
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = judge.judge([Question("gone_check", "raise RuntimeError", ours)])[0]
    assert found.kind is Kind.GRADER_ERROR and "no longer has this cell" in found.detail


def test_a_lesson_whose_solution_does_not_run_is_named(tmp_path):
    course = make_course(tmp_path, change=lambda notebook: setattr(notebook.cells[1], "source", "1 / 0"))
    with pytest.raises(CourseError, match=r"cell 2.*ZeroDivisionError"):
        Judge(read_master(course, LESSON))


def test_the_judge_ends_with_the_grader(master):
    judge = Judge(master)
    judge._socket.close()
    assert judge._process.wait(timeout=10) is not None
