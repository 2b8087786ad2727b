"""A student in another process: what a check asks goes over a socket, what comes back is taken apart as data."""

import itertools
import socket
from typing import Any

from torchgrade.caps import MAX_HEADER
from torchgrade.check.student import MAX_LINES, MAX_MESSAGE, Line, Probe, Raised, Reply
from torchgrade.judge import agent, frames

MAX_CALLS = 10_000
MAX_NAME = 1000  # characters


class NoAnswer(Exception):
    """Nothing came back that a check could look at. The message completes "your code's process ..."."""


class NeverThere(NoAnswer):
    """It did not even say hello."""


class TimeOut(NoAnswer):
    """It did not answer in time."""


class Died(NoAnswer):
    """It ended while it ran the question."""


class Garbled(NoAnswer):
    """It sent something that is no answer."""


class RemoteStudent:
    """Asks the agent behind `connection` until `deadline` (of time.monotonic); no later frame counts.

    heard: every question and its reply, in order. Raises NoAnswer; after the first one nothing is asked any more.
    """

    def __init__(self, connection: socket.socket, *, deadline: float):
        self.heard: list[tuple[str, Reply]] = []
        self._connection, self._deadline = connection, deadline
        self._ids = itertools.count(1)
        self._greeted = False
        self._silent: NoAnswer | None = None

    def answer(self, probe: Probe) -> Reply:
        question = {"seed": probe.seed, "watch_calls": probe.watch_calls}
        return self._ask("probe", question, probe.payload)

    def names_used(self, definition: str) -> Reply:
        return self._ask("names", {"definition": definition}, b"")

    def _ask(self, kind: str, question: frames.Header, payload: bytes) -> Reply:
        if self._silent is not None:
            raise self._silent
        try:
            reply = self._exchange(question, payload)
        except NoAnswer as error:
            self._silent = error
            raise
        self.heard.append((kind, reply))
        return reply

    def _exchange(self, question: frames.Header, payload: bytes) -> Reply:
        self._greet()
        number = next(self._ids)
        try:
            frames.send(self._connection, {"id": number, **question}, payload, deadline=self._deadline)
            while True:
                header, body = frames.receive(self._connection, deadline=self._deadline)
                if header.get("id") == number and type(header["id"]) is int:
                    return _reply(header, body)
        except frames.Late:
            raise TimeOut("did not answer in time") from None
        except frames.Closed:
            raise Died("ended while it ran this check") from None
        except frames.BadFrame as error:
            raise Garbled(f"sent something that is no answer ({error})") from None

    def _greet(self) -> None:
        if self._greeted:
            return
        try:
            header, _ = frames.receive(self._connection, deadline=self._deadline)
        except frames.Late:
            raise TimeOut("did not answer in time") from None
        except frames.BadFrame:
            raise NeverThere("was not there to be asked") from None
        if header != agent.HELLO:
            raise NeverThere("was not there to be asked")
        self._greeted = True


def _reply(header: frames.Header, body: bytes) -> Reply:
    """The reply in a frame; every part of it is of the type it should be, or Garbled."""
    calls = header.get("calls", [])
    if type(calls) is not list or len(calls) > MAX_CALLS or not all(_is_text(name, MAX_NAME) for name in calls):
        raise Garbled("sent something that is no answer (calls)")
    names = tuple(calls)
    match header:
        case {"raised": dict(raised)}:
            return Reply(raised=_raised(raised), calls=names)
        case {"unsendable": str(text)} if _is_text(text, MAX_MESSAGE):
            return Reply(unsendable=_printable(text), calls=names)
        case {"value": str(value)} if len(value) <= MAX_HEADER:
            return Reply(value.encode(errors="replace"), body, calls=names)
    raise Garbled("sent something that is no answer")


def _raised(raised: dict[str, Any]) -> Raised:
    kinds, message, lines = raised.get("kinds"), raised.get("message"), raised.get("lines")
    if not (type(kinds) is list and 0 < len(kinds) <= 100 and all(_is_text(kind, MAX_NAME) for kind in kinds)):
        raise Garbled("sent something that is no answer (kinds)")
    if not _is_text(message, MAX_MESSAGE) or type(lines) is not list or len(lines) > MAX_LINES:
        raise Garbled("sent something that is no answer (error)")
    return Raised(tuple(map(_printable, kinds)), _printable(str(message)), tuple(_line(line) for line in lines))


def _line(line: Any) -> Line:
    match line:
        case {"function": str(function), "number": int(number), "text": str(text)} if type(number) is int:
            return Line(_printable(function[:MAX_NAME]), number, _printable(text[:MAX_NAME]))
    raise Garbled("sent something that is no answer (line)")


def _printable(text: str) -> str:
    """`text` as a notebook can hold it: half of a surrogate pair would keep the whole notebook from being written."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_text(value: Any, longest: int) -> bool:
    return type(value) is str and len(value) <= longest
