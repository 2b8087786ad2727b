"""The student's kernel: outputs are counted data, snapshots outlive it, and no cell makes the grader raise."""

import socket

import pytest
from torchgrade.autograde.notebook_run import NotebookRun, Step
from torchgrade.autograde.outcome import Stopped
from torchgrade.check import capture
from torchgrade.check.student import Probe
from torchgrade.errors import CourseError
from torchgrade.judge.remote import RemoteStudent
from torchgrade.kernels.kernel import Ended, Kernel, OutputLimit
from torchgrade.sandbox import Limits

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("kernel")]

DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
BIG = 40 << 20  # more than libzmq lets through


class Cells:
    """Runs cells in a kernel and gathers what they print."""

    def __init__(self, kernel):
        self.kernel, self.text, self.kinds = kernel, "", []

    def run(self, source, seconds=10.0, limit=None):
        self.text, self.kinds = "", []
        return self.kernel.run(source, seconds=seconds, limit=limit or OutputLimit(), on_output=self._take)

    def _take(self, message):
        kind, content = message["header"]["msg_type"], message["content"]
        if kind not in ("status", "execute_input"):
            self.kinds.append(kind)
            self.text += str(content.get("text") or content.get("evalue") or content.get("data", ""))


@pytest.fixture(scope="module")
def kernel():
    with Kernel(
        files={"random.py": b"raise SystemExit('shadow')", "data/words.txt": b"yes"}, limits=Limits()
    ) as kernel:
        yield kernel


@pytest.fixture
def cells(kernel):
    return Cells(kernel)


def test_outputs_come_in_order(cells):
    assert cells.run("print('first')\nprint('second')\n'third'") is Ended.DONE
    assert cells.kinds == ["stream", "execute_result"] and cells.text.startswith("first\nsecond\n")


def test_an_error_is_an_output_and_the_next_cell_runs(cells):
    assert cells.run("1 / 0") is Ended.FAILED and cells.kinds == ["error"]
    assert cells.run("print('on')") is Ended.DONE and cells.text == "on\n"


def test_a_cell_reads_its_files_and_a_file_does_not_shadow_a_library(cells):
    assert cells.run("import random; print(open('data/words.txt').read(), random.__file__)") is Ended.DONE
    assert cells.text.startswith("yes /") and "python3" in cells.text


def test_a_picture_comes_as_png(cells):
    cells.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", seconds=60)
    assert "image/png" in cells.text


def test_a_loop_is_interrupted_and_the_kernel_lives(cells):
    assert cells.run("while True: pass", seconds=0.5) is Ended.TIME
    assert cells.run("print('on')") is Ended.DONE and cells.text == "on\n"


def test_asking_for_input_is_an_error_at_once(cells):
    assert cells.run("input()") is Ended.FAILED and cells.kinds == ["error"]


def test_what_is_printed_beyond_the_limit_is_not_kept(cells):
    assert cells.run("while True: print('x' * 1000, flush=True)", limit=OutputLimit(bytes=500_000)) is Ended.OUTPUT
    assert 0 < len(cells.text) <= 500_000
    assert cells.run("print('on')") is Ended.DONE and cells.text == "on\n"


def test_one_huge_message_is_dropped_and_the_next_output_arrives(cells):
    assert cells.run(f"print('x' * {BIG})") is Ended.OUTPUT
    assert cells.run("print('on')") is Ended.DONE and cells.text == "on\n"


def test_too_many_small_outputs_are_cut(cells):
    assert cells.run("for i in range(10_000): display(i)", limit=OutputLimit(messages=50)) is Ended.OUTPUT
    assert len(cells.kinds) <= 50


@pytest.mark.parametrize(
    "forgery",
    [
        "k.session.send(k.iopub_socket, 'status', {'execution_state': 7}, parent=k.get_parent(), ident=b'x')",
        "k.session.send(k.iopub_socket, 'stream', {'name': None}, parent=k.get_parent())",
        "k.session.send(k.iopub_socket, 'display_data', {'data': {'text/plain': [[]]}}, parent=k.get_parent())",
        "k.session.send(k.iopub_socket, 'error', {}, parent=k.get_parent())",
        "k.iopub_socket.send_multipart([b'garbage'])",
        "k.iopub_socket.send_multipart([b'<IDS|MSG>', b'', b'[]', b'[]', b'[]', b'[]'])",
    ],
)
def test_a_forged_message_does_not_raise(cells, forgery):
    assert cells.run(f"k = get_ipython().kernel\n{forgery}") is Ended.DONE
    assert cells.run("print('on')") is Ended.DONE and cells.text == "on\n"


def test_a_kernel_that_does_not_start_is_the_machines_fault():
    with pytest.raises(CourseError, match="did not start"):
        Kernel(limits=Limits(memory=60 << 20))


def ask(connection, expression):
    """The value of `expression` in the snapshot behind `connection`."""
    fn = eval(f"lambda: {expression}", {"__name__": "__main__"})
    student = RemoteStudent(connection)
    return student.answer(Probe(capture.pack(fn), seed=0))


def steps(*sources):
    """A judged step for None, a run one for a source."""
    return [Step(source or "", judged=source is None) for source in sources]


def run(steps, **limits):
    options = {"cell_seconds": 5.0, "notebook_seconds": 60.0, "files": {}, "limits": Limits()}
    return NotebookRun(steps, **(options | limits))


def alive(step):
    """Whether a snapshot is there: it greets the judge."""
    step.connection.settimeout(5)
    return bool(step.connection.recv(1, socket.MSG_PEEK))


def test_a_snapshot_outlives_a_kernel_that_dies_and_later_cells_still_count():
    cells = steps("x = 1", None, "import os; os._exit(1)", None, "y = 2", None)
    with run(cells) as notebook:
        notebook.run()
        assert cells[2].stopped is Stopped.KernelDied
        assert [step.stopped for step in cells if step is not cells[2]] == [None] * 5
        assert all(alive(step) for step in cells if step.judged)


def test_a_kernel_that_dies_each_time_is_given_up():
    cells = steps(*["import os; os._exit(1)"] * 4, None)
    with run(cells) as notebook:
        notebook.run()
    assert [step.stopped for step in cells[:3]] == [Stopped.KernelDied] * 3
    assert [step.stopped for step in cells[3:]] == [Stopped.KernelGone] * 2


def test_a_loop_that_ignores_interrupts_is_stopped_and_later_cells_run():
    cells = steps("x = 1", DEAF, "assert x == 1", None)
    with run(cells, cell_seconds=1.0) as notebook:
        notebook.run()
        assert [step.stopped for step in cells] == [None, Stopped.CellTimeout, None, None]
        assert alive(cells[3])


def test_the_notebook_as_a_whole_has_a_limit():
    cells = steps("import time\ntime.sleep(60)", "time.sleep(60)", None)
    with run(cells, cell_seconds=30.0, notebook_seconds=3.0) as notebook:
        notebook.run()
    assert [step.stopped for step in cells] == [Stopped.CellTimeout, Stopped.NoTimeLeft, Stopped.NoTimeLeft]
