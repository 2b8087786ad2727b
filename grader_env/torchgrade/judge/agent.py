"""The student's side of the judge: answers probes from a namespace until nobody asks any more."""

import contextlib
import dataclasses
import gc
import socket
from typing import Any

from torchgrade.check import codec
from torchgrade.check.failures import CellError
from torchgrade.check.student import LocalStudent, Probe, Reply
from torchgrade.check.timing import memory
from torchgrade.check.timing.called import Called
from torchgrade.judge import frames

HELLO = {"hello": "torchgrade"}


def serve(connection: socket.socket, namespace: dict[str, Any]) -> None:
    """Say hello, then answer each question on `connection` with the code in `namespace`. Returns at its end."""
    student = LocalStudent(namespace)
    calls = _Calls(student)
    with contextlib.suppress(frames.BadFrame):
        frames.send(connection, HELLO)
        while True:
            question, payload = frames.receive(connection)
            header, body = (
                calls.answer(question, payload) if "calls" in question else _answer(student, question, payload)
            )
            frames.send(connection, {"id": question["id"], **header}, body)


def _answer(student: LocalStudent, question: frames.Header, payload: bytes) -> tuple[frames.Header, bytes]:
    try:
        if "definition" in question:
            reply = student.names_used(question["definition"])
        else:
            reply = student.answer(Probe(payload, question["seed"], question["watch"]))
    except CellError as error:
        return {"broken": str(error)}, b""
    return _header(reply), reply.body


class _Calls:
    """One function, called again and again while somebody else measures: {"calls": "load"}, then "hold", "call"..."""

    def __init__(self, student: LocalStudent):
        self._student = student
        self._called: Called | None = None
        self._last: Any = None
        self._stack = contextlib.ExitStack()

    def answer(self, question: frames.Header, payload: bytes) -> tuple[frames.Header, bytes]:
        try:
            header, body = codec.encode(self._do(question, payload))
        except CellError as error:
            return {"broken": str(error)}, b""
        except BaseException as error:
            return _header(self._student.failure(error)), b""
        return {"value": header.decode()}, body

    def _do(self, question: frames.Header, payload: bytes) -> Any:
        if question["calls"] == "load":
            self._called = Called(payload, self._student.names())
            gc.disable()  # until this process ends
            if question["exact_memory"]:
                self._stack.enter_context(memory.exact())
            else:
                memory.keep_freed()
            return None
        if question["calls"] == "settle":
            return memory.settle()
        assert self._called is not None
        values = codec.decode(question["value"].encode(), payload)
        match question["calls"]:
            case "hold":
                self._called.hold(values)
            case "call":
                self._last = self._called.call(values)
                return self._last
            case "echo":  # what a call costs besides the work
                return self._last
        return None


def _header(reply: Reply) -> frames.Header:
    header: frames.Header = {"seen": dict(reply.seen)}
    if reply.raised is not None:
        return header | {"raised": dataclasses.asdict(reply.raised)}
    if reply.unsendable is not None:
        return header | {"unsendable": reply.unsendable}
    return header | {"value": reply.header.decode()}
