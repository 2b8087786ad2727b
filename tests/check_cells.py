"""Run the cells of a little lesson in the two ways that must agree: in a notebook, and as a grader does it."""

import functools
import itertools
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import nbformat
from nbclient import NotebookClient
from torchgrade.check.student import LocalStudent, answering


@dataclass(frozen=True)
class Outcome:
    """What a test cell came to: "passed" or the class of the error, and the text a reader sees."""

    verdict: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.text}" if self.text else self.verdict


DOUBLE = """
def double(x):
    return x * 2
"""

Run = Callable[..., Outcome]  # (the student's cell, the test cell) -> Outcome

_numbers = itertools.count()


def cell(text: str) -> str:
    """The source of a cell that is written as an indented block."""
    return dedent(text).strip("\n")


def judged(answer: str, test: str) -> Outcome:
    """The student's names in one namespace, the test cell executed in an empty other one."""
    student: dict[str, Any] = {"__name__": "__main__"}
    execute(cell(answer), student)
    with answering(LocalStudent(student)):
        try:
            execute(cell(test), {})
        except Exception as error:
            return Outcome(type(error).__name__, str(error))
    return Outcome("passed", "")


def execute(source: str, namespace: dict[str, Any]) -> None:
    """Run `source` as a cell, whose text tracebacks and `check` can find."""
    name = f"<cell {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), namespace)


def in_a_notebook(answer: str, test: str) -> Outcome:
    """Both cells in one kernel, the way a student runs them."""
    _run_cell("for name in {*globals()} - KEPT: del globals()[name]")  # %reset takes 0.2 s
    _run_cell(cell(answer))
    return _run_cell(cell(test))


def _run_cell(source: str) -> Outcome:
    code = nbformat.v4.new_code_cell(source)
    client = _client()
    client.nb.cells = [code]
    client.execute_cell(code, 0)
    for output in code.outputs:
        if output.output_type == "error":
            return Outcome(output.ename, "\n".join(output.traceback))
    return Outcome("passed", "".join(output.text for output in code.outputs if output.output_type == "stream"))


@functools.cache
def _client() -> NotebookClient:
    """One kernel for all tests of the process: starting one and importing torch takes seconds."""
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell()]),
        timeout=60,
        allow_errors=True,
        kernel_name="python3",
    )
    client.create_kernel_manager()
    client.start_new_kernel()  # nbclient itself ends it when Python ends
    client.start_new_kernel_client()
    client.execute_cell(nbformat.v4.new_code_cell("KEPT = {*globals(), 'KEPT', 'name'}"), 0)
    return client
