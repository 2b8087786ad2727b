"""The grader's end of a judge that runs as a process of its own."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from torchgrade.errors import CourseError
from torchgrade.judge import frames
from torchgrade.judge.question import SECONDS_PER_CELL, Question, seconds_from_now
from torchgrade.judge.server import MAX_DESCRIPTORS
from torchgrade.judge.verdict import Verdict
from torchgrade.lessons.master import Master

START_SECONDS = 600.0  # importing torch and running what the lesson's grading needs, on a busy machine


class Judge:
    """The judge of one lesson, for as many submissions as there are. `with` it, or `close` it.

    Raises CourseError if the master cannot be read or its solution does not run, or if the process ends unexpectedly.
    """

    def __init__(self, master: Master):
        self._master = master
        self._socket, theirs = socket.socketpair()
        course = str(master.folder.parent.parent)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "torchgrade.judge.server", str(theirs.fileno()), course, master.name],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            said = self._receive(START_SECONDS)
            if "ready" not in said:
                raise CourseError(said["what"], where=said["where"] or None, remedy=said["remedy"])
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def judge(
        self, questions: Sequence[Question], *, cell_seconds: float = 30.0, seconds: float = 600.0
    ) -> list[Verdict]:
        """One verdict per question, in the same order.

        cell_seconds, seconds: how long a student's process is asked for one cell, and for all of them
        """
        if not questions:
            return []
        asked = [{"grade_id": question.grade_id, "source": question.source} for question in questions]
        descriptors = [question.connection.fileno() for question in questions]
        try:
            frames.send(self._socket, {"questions": asked, "cell_seconds": cell_seconds, "seconds": seconds})
            for first in range(0, len(descriptors), MAX_DESCRIPTORS):
                socket.send_fds(self._socket, [b"."], descriptors[first : first + MAX_DESCRIPTORS])
        except (frames.BadFrame, OSError):
            raise self._gone() from None
        said = self._receive(2 * SECONDS_PER_CELL * len(questions))
        return [Verdict.from_dict(verdict) for verdict in said["verdicts"]]

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _receive(self, seconds: float) -> frames.Header:
        try:
            return frames.receive(self._socket, deadline=seconds_from_now(seconds))[0]
        except frames.BadFrame:
            raise self._gone() from None

    def _gone(self) -> CourseError:
        return CourseError(
            "the judge ended or hung.",
            where=self._master.path,
            remedy="Was the machine out of memory? Nothing was graded; run it again.",
        )
