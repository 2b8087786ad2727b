"""The student's side of a probe: run the packed function among the student's names, answer in plain data.

`LocalStudent` is the student in the same process: what a notebook, plain nbgrader and otter use. A grader that keeps
the student in another process sets its own `Student` with `answering()`; the contract is the same.
"""

import contextlib
import linecache
import random
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any, Protocol

import numpy as np
import torch

from torchgrade.check import capture, codec, watching
from torchgrade.check.names_used import names_used
from torchgrade.check.timing import local
from torchgrade.check.timing.called import default_modes
from torchgrade.check.timing.race import Inputs, Sides, Task
from torchgrade.check.timing.record import Record

MAX_MESSAGE = 1000  # characters of an exception's text
MAX_LINES = 10  # the innermost lines of the student's code that an error passed through


@dataclass(frozen=True)
class Probe:
    """One question to the student's code.

    payload: a packed function without arguments (capture.pack)
    seed: for torch's, numpy's and Python's random numbers on the student's side
    watch: what else to report of the run: a name of watching.WATCHERS
    """

    payload: bytes
    seed: int
    watch: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the student's code that an error passed through."""

    function: str
    number: int
    text: str


@dataclass(frozen=True)
class Raised:
    """An exception the student's code stopped with. `kinds` are the names of its class and its base classes."""

    kinds: tuple[str, ...]
    message: str
    lines: tuple[Line, ...]

    @property
    def is_unfilled_stub(self) -> bool:
        """nbgrader replaces a solution by `raise NotImplementedError()`; so do our stubs."""
        return (
            self.kinds[0] == "NotImplementedError"
            and not self.message
            and bool(self.lines)
            and self.lines[-1].text.startswith("raise NotImplementedError")
        )


class RaisedElsewhere(Exception):
    """The student's code stopped in a process that a probe started; `raised` is what it stopped with."""

    def __init__(self, raised: Raised):
        super().__init__(raised.message)
        self.raised = raised


@dataclass(frozen=True)
class Reply:
    """What came back: a message of `codec`, or what the code raised, or why the result cannot cross.

    seen: what was watched, by its name; of the student's side, like everything here
    """

    header: bytes = b""
    body: bytes = b""
    raised: Raised | None = None
    unsendable: str | None = None
    seen: watching.Seen = field(default_factory=dict)


class Stopped(Exception):
    """The code stopped, or gave something that cannot cross, while it was timed or its memory was measured."""

    def __init__(self, reply: Reply):
        super().__init__(reply)
        self.reply = reply


class Student(Protocol):
    def answer(self, probe: Probe) -> Reply:
        """Run a probe."""

    def names_used(self, definition: str) -> Reply:
        """A list of the names that the student's `definition` uses (names_used.names_used)."""

    def sides(self, task: Task) -> contextlib.AbstractContextManager[Sides]:
        """The student's candidate and a baseline, ready to be timed. Calls raise Stopped."""

    def peak_memory(self, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
        """(bytes above the start while a packed function runs on `inputs`, its result).

        Raises Stopped, and timing.memory.NoAccount where that cannot be known.
        """

    def note(self, record: Record) -> None:
        """What a race measured, for whoever keeps it."""


_current: ContextVar[Student | None] = ContextVar("torchgrade_student", default=None)


def current() -> Student | None:
    """The student that checks ask at the moment; None means the notebook this code runs in."""
    return _current.get()


@contextlib.contextmanager
def answering(student: Student) -> Iterator[None]:
    """Within this block every check asks `student`."""
    token = _current.set(student)
    try:
        yield
    finally:
        _current.reset(token)


class LocalStudent:
    """A student whose names live in `namespace`, in this process.

    cell: the names of the test cell, where it shares the namespace; a probe gets those as copies or not at all, for
    they would not exist on the other side.
    """

    def __init__(self, namespace: dict[str, Any], cell: Collection[str] = ()):
        self._namespace = namespace
        self._cell = cell

    def answer(self, probe: Probe) -> Reply:
        with _seeded(probe.seed), default_modes():
            fn = capture.unpack(probe.payload, self.names())
            return self._reply(fn, probe.watch)

    def names_used(self, definition: str) -> Reply:
        return self._reply(lambda: names_used(self._namespace, definition))

    @contextlib.contextmanager
    def sides(self, task: Task) -> Iterator[Sides]:
        yield local.sides(task, self.names(), self._stopped)

    def peak_memory(self, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
        return local.peak(payload, self.names(), inputs, self._stopped)

    def note(self, record: Record) -> None:
        """Nobody keeps it here."""

    def names(self) -> dict[str, Any]:
        """What a probe finds besides what its own cell defines."""
        both = {name for name in self._cell if isinstance(self._namespace.get(name), ModuleType)}  # imported by each
        return {name: value for name, value in self._namespace.items() if name in both or name not in self._cell}

    def _reply(self, fn: Callable[[], Any], watch: str = "") -> Reply:
        seen: watching.Seen = {}
        try:
            value, seen = watching.run(fn, watch)
            header, body = codec.encode(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a probe never ends the process that asks
            return self.failure(error, seen)
        return Reply(header, body, seen=seen)

    def failure(self, error: BaseException, seen: watching.Seen | None = None) -> Reply:
        """What a check may say of an error: its class, its text, and the student's lines it passed through."""
        if isinstance(error, codec.Unsendable):
            return Reply(unsendable=str(error), seen=seen or {})
        return Reply(raised=self._raised(error), seen=seen or {})

    def _stopped(self, error: BaseException) -> Stopped:
        return Stopped(self.failure(error))

    def _raised(self, error: BaseException) -> Raised:
        if isinstance(error, RaisedElsewhere):
            return error.raised
        lines = []
        trace = error.__traceback__
        while trace is not None:
            if self._is_students(trace.tb_frame):
                file = trace.tb_frame.f_code.co_filename
                text = linecache.getline(file, trace.tb_lineno).strip()
                lines.append(Line(trace.tb_frame.f_code.co_qualname, trace.tb_lineno, text))
            trace = trace.tb_next
        kinds = tuple(kind.__name__ for kind in type(error).__mro__ if kind is not object)
        try:
            message = str(error)[:MAX_MESSAGE]
        except Exception:  # a class of the student's
            message = ""
        return Raised(kinds, message, tuple(lines[-MAX_LINES:]))

    def _is_students(self, frame: FrameType) -> bool:
        return frame.f_globals is self._namespace


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The student's random numbers come from `seed`; the caller's go on afterwards as if nothing had happened."""
    python, array = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
