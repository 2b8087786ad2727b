"""A student in another process: what a check asks goes over a socket, what comes back is taken apart as data."""

import contextlib
import itertools
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from torchgrade.caps import MAX_HEADER
from torchgrade.check.student import MAX_LINES, MAX_MESSAGE, Line, Probe, Raised, Reply
from torchgrade.check.timing.race import Inputs, Sides, Task
from torchgrade.check.timing.record import Record
from torchgrade.check.watching import WATCHERS
from torchgrade.judge import agent, frames, processes
from torchgrade.judge.question import RACE_SECONDS, seconds_from_now

MAX_SEEN = 10_000  # numbers and texts in what was watched
MAX_DEPTH = 3
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

    A race gets time of its own, until `latest`.
    heard: every question and its reply, in order; records: what races measured
    Raises NoAnswer; after the first one nothing is asked any more.
    """

    def __init__(self, connection: socket.socket, *, deadline: float, latest: float = math.inf):
        self.heard: list[tuple[str, Reply]] = []
        self.records: list[Record] = []
        self._connection = connection
        self._deadline, self._latest = deadline, latest
        self._ids = itertools.count(1)
        self._greeted = False
        self._silent: NoAnswer | None = None

    def answer(self, probe: Probe) -> Reply:
        return self._ask("probe", {"seed": probe.seed, "watch": probe.watch}, probe.payload)

    def names_used(self, definition: str) -> Reply:
        return self._ask("names", {"definition": definition}, b"")

    @contextlib.contextmanager
    def sides(self, task: Task) -> Iterator[Sides]:
        from torchgrade.judge import racing  # which makes students of its own

        self._deadline = min(max(self._deadline, seconds_from_now(RACE_SECONDS)), self._latest)
        with racing.sides(self, task, deadline=self._deadline) as found:
            yield found

    def peak_memory(self, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
        from torchgrade.judge import racing

        return racing.peak_memory(self, payload, inputs)

    def note(self, record: Record) -> None:
        self.records.append(record)

    def process(self) -> int:
        """The number, in this process's namespace, of the process that answers; 0 if the kernel does not say."""
        try:
            processes.ask_for_credentials(self._connection)
        except OSError:
            return 0
        found: list[int] = []

        def look() -> None:
            with contextlib.suppress(OSError):
                found.append(processes.sender(self._connection, self._deadline - time.monotonic()))

        self._guarded({"calls": "settle"}, b"", look)
        return found[0] if found else 0

    def timed(self, question: frames.Header, payload: bytes) -> tuple[float, Reply]:
        """(seconds from the first byte sent to the last received, the reply)."""
        started = time.perf_counter()
        reply = self._guarded(question, payload)
        return time.perf_counter() - started, reply

    def _ask(self, kind: str, question: frames.Header, payload: bytes) -> Reply:
        reply = self._guarded(question, payload)
        self.heard.append((kind, reply))
        return reply

    def _guarded(
        self, question: frames.Header, payload: bytes, before_reply: Callable[[], None] | None = None
    ) -> Reply:
        """The reply; who has not answered once is not asked again."""
        if self._silent is not None:
            raise self._silent
        try:
            return self._exchange(question, payload, before_reply)
        except NoAnswer as error:
            self._silent = error
            raise

    def _exchange(self, question: frames.Header, payload: bytes, before_reply: Callable[[], None] | None) -> Reply:
        self._greet()
        number = next(self._ids)
        try:
            frames.send(self._connection, {"id": number, **question}, payload, deadline=self._deadline)
            if before_reply:
                before_reply()
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
    seen = header.get("seen", {})
    if type(seen) is not dict or not seen.keys() <= WATCHERS.keys() or _size(seen) > MAX_SEEN:
        raise Garbled("sent something that is no answer (what was watched)")
    match header:
        case {"raised": dict(raised)}:
            return Reply(raised=_raised(raised), seen=seen)
        case {"unsendable": str(text)} if _is_text(text, MAX_MESSAGE):
            return Reply(unsendable=_printable(text), seen=seen)
        case {"value": str(value)} if len(value) <= MAX_HEADER:
            return Reply(value.encode(errors="replace"), body, seen=seen)
    raise Garbled("sent something that is no answer")


def _size(value: Any, depth: int = 0) -> float:
    """How many numbers and short printable texts there are in `value`; infinity if it holds anything else."""
    if depth > MAX_DEPTH:
        return math.inf
    match value:
        case str():
            return 1 if len(value) <= MAX_NAME and value == _printable(value) else math.inf
        case int():  # a bool too; JSON's floats are not among what is watched
            return 1 if abs(value) < 1 << 63 else math.inf
        case list():
            return 1 + sum(_size(inner, depth + 1) for inner in value)
        case dict():
            return 1 + sum(_size(key) + _size(inner, depth + 1) for key, inner in value.items())
    return math.inf


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
