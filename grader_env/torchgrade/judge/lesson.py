"""The solved lesson as a student who can be asked at any graded cell, with any answer replaced by another.

The lesson runs once. Before each answer's cell the process forks a *bookmark*, which waits with everything computed so
far. Asked for a student, a bookmark forks a copy that runs the wanted answer and the cells up to the graded one, and
then answers as a student's snapshot would. So the author's solution and every mistake of the bank are just students.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.judge import agent
from torchgrade.judge.remote import RemoteStudent
from torchgrade.lessons.forked import end_with_parent, silence
from torchgrade.lessons.master import Cell, Master, is_demo, nbgrader
from torchgrade.lessons.solved import Namespace, first_line, new_lesson, run_source

MAX_REQUEST = 1 << 20  # bytes: a variant's source and its prelude
IGNORED = shutil.ignore_patterns("*.ipynb", "mistakes.py", "__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True)
class _Step:
    """A code cell that is not graded; `number` counts all cells of the notebook from 1."""

    number: int
    cell: Cell

    @property
    def grade_id(self) -> str:
        return str(nbgrader(self.cell).get("grade_id", ""))

    def run(self, lesson: Namespace) -> None:
        run_source(self.cell.source, f"<cell {self.number}>", lesson)


class SolvedLesson:
    """Running it takes the seconds that grading needs. `with` it; its processes end with this one.

    Raises CourseError if the solution stops with an error.
    """

    def __init__(self, master: Master):
        self._master = master
        cells = enumerate(master.notebook.cells, 1)
        code = [(number, cell) for number, cell in cells if cell.cell_type == "code" and not is_demo(cell)]
        self._place = {nbgrader(cell).get("grade_id", ""): number for number, cell in code}
        self._steps = [_Step(*one) for one in code if nbgrader(one[1]).get("grade_id") not in master.graded]
        self._folder = tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True)
        self._bookmarks: dict[str, socket.socket] = {}
        self._owner = os.getpid()
        self._run()

    def knows(self, grade_id: str) -> bool:
        """Whether the lesson has this graded cell."""
        return grade_id in self._master.graded

    @contextlib.contextmanager
    def student_at(self, grade_id: str, answer: str | None = None, *, deadline: float) -> Iterator[RemoteStudent]:
        """A student who has come to the cell `grade_id`; `answer` replaces the author's in that cell's exercise."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                request = {"answer": answer, "until": self._place[grade_id]}
                bookmark = self._bookmarks[self._master.exercise_of(grade_id)]
                socket.send_fds(bookmark, [json.dumps(request).encode()], [theirs.fileno()])
            yield RemoteStudent(ours, deadline=deadline)

    def close(self) -> None:
        for bookmark in self._bookmarks.values():
            bookmark.close()
        if os.getpid() == self._owner:
            self._folder.cleanup()

    def _run(self) -> None:
        os.chdir(self._copy_of(self._master.folder))
        lesson = new_lesson()
        for index, step in enumerate(self._steps):
            if step.grade_id in self._master.answers:
                gc.freeze()  # what is shared with the copies stays shared
                self._bookmarks[step.grade_id] = self._bookmark(lesson, index)
            try:
                step.run(lesson)
            except (Exception, SystemExit) as error:
                raise CourseError(
                    f"the solved lesson stops with {type(error).__name__}: {first_line(error)}.",
                    where=f"{self._master.path}: cell {step.number}",
                    remedy="Mend it; `torchgrade lesson mistakes` runs it the same way.",
                ) from error

    def _bookmark(self, lesson: Namespace, index: int) -> socket.socket:
        """The control socket of a copy of this process that waits before the step `index`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        if os.fork():
            theirs.close()
            return ours
        try:
            end_with_parent(parent)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
            silence()
            ours.close()
            for other in self._bookmarks.values():
                other.close()
            self._wait(theirs, lesson, index)
        finally:
            os._exit(0)

    def _wait(self, control: socket.socket, lesson: Namespace, index: int) -> None:
        while True:
            request, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
            if not request:
                return
            parent = os.getpid()
            if os.fork() == 0:
                end_with_parent(parent)
                control.close()
                self._go_on(json.loads(request), socket.socket(fileno=descriptors[0]), lesson, index)
                return
            os.close(descriptors[0])

    def _go_on(self, request: dict[str, object], connection: socket.socket, lesson: Namespace, index: int) -> None:
        """In a copy: the answer, the rest up to the graded cell, then whatever is asked."""
        os.chdir(self._copy_of(Path.cwd()))
        for position, step in enumerate(self._steps[index:]):
            if step.number > int(str(request["until"])):
                break
            with contextlib.suppress(Exception, SystemExit):
                if position == 0 and request["answer"] is not None:
                    run_source(str(request["answer"]), "<another answer>", lesson)
                else:
                    step.run(lesson)
        agent.serve(connection, lesson)

    def _copy_of(self, folder: Path) -> Path:
        """The lesson's files, in a place where its cells may write."""
        copy = tempfile.mkdtemp(dir=self._folder.name)
        return Path(shutil.copytree(folder, copy, ignore=IGNORED, dirs_exist_ok=True))
