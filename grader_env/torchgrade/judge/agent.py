"""The student's side of the judge: answers probes from a namespace until nobody asks any more."""

import contextlib
import dataclasses
import socket
from typing import Any

from torchgrade.check.failures import CellError
from torchgrade.check.student import LocalStudent, Probe, Reply
from torchgrade.judge import frames

HELLO = {"hello": "torchgrade"}


def serve(connection: socket.socket, namespace: dict[str, Any]) -> None:
    """Say hello, then answer each question on `connection` with the code in `namespace`. Returns at its end."""
    student = LocalStudent(namespace)
    with contextlib.suppress(frames.BadFrame):
        frames.send(connection, HELLO)
        while True:
            question, payload = frames.receive(connection)
            header, body = _answer(student, question, payload)
            frames.send(connection, {"id": question["id"], **header}, body)


def _answer(student: LocalStudent, question: frames.Header, payload: bytes) -> tuple[frames.Header, bytes]:
    try:
        if "definition" in question:
            reply = student.names_used(question["definition"])
        else:
            reply = student.answer(Probe(payload, question["seed"], question["watch_calls"]))
    except CellError as error:
        return {"broken": str(error)}, b""
    return _header(reply), reply.body


def _header(reply: Reply) -> frames.Header:
    header: frames.Header = {"calls": list(reply.calls)}
    if reply.raised is not None:
        return header | {"raised": dataclasses.asdict(reply.raised)}
    if reply.unsendable is not None:
        return header | {"unsendable": reply.unsendable}
    return header | {"value": reply.header.decode()}
