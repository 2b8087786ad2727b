"""Run one submission: cells in a sandboxed kernel, graded ones by the lesson's judge; on any machine the same way."""

import threading
from typing import Any

from torchgrade.autograde.collect import Collector
from torchgrade.autograde.judging import judges, outputs_of, verdict_in
from torchgrade.autograde.notebook_run import NotebookRun, Step
from torchgrade.autograde.outcome import Stopped, errors_in
from torchgrade.autograde.work import CodeCell, Result, Work, as_plain, environment
from torchgrade.errors import CourseError
from torchgrade.judge.question import Question
from torchgrade.judge.verdict import Kind
from torchgrade.kernels.warm import shared

RUNS = 2  # of a submission in which something died, or whose judge did
_one_at_a_time = threading.Lock()  # a Dask worker may have threads; they would share a judge


def run(work: Work) -> Result:
    """Whatever the submission does, there is a result; CourseError if this machine or the lesson is at fault.

    A death is believed when it happens twice: the first may have been the machine's, which ends processes, too.
    """
    if work.environment != environment():
        raise CourseError(
            "this worker has other versions of Python, its packages or torchgrade than the grader that asks it.",
            remedy="Install the same lock and the same course on every machine, and start the workers again.",
        )
    results: list[Result] = []
    with _one_at_a_time:
        for attempt in range(RUNS):
            try:
                results.append(_run(work))
            except CourseError:
                if attempt == RUNS - 1 and not results:
                    raise
            else:
                if _deaths(results[-1]) == 0:
                    break
    return min(results, key=_deaths)


def _deaths(result: Result) -> int:
    """Cells in which a process of the student's ended."""
    found = 0
    for outputs in result.outputs.values():
        verdict = verdict_in(outputs)
        stopped = any(error.get("ename") == Stopped.KernelDied.name for error in outputs)
        found += stopped or (verdict is not None and verdict.kind is Kind.CRASHED)
    return found


def _run(work: Work) -> Result:
    parent = shared.get()  # comes up while the judge does
    judge = judges.get(work.lesson) if work.lesson else None
    collector = Collector([cell.source for cell in work.cells])
    steps = [Step(cell.source, cell.judged, collector.collector(number)) for number, cell in enumerate(work.cells)]
    notes: list[str] = []
    with NotebookRun(
        steps,
        cell_seconds=work.cell_seconds,
        notebook_seconds=work.notebook_seconds,
        files=work.files,
        limits=work.limits,
        parent=parent,
    ) as notebook:
        notebook.run()
        outputs = {cell.index: collector.outputs(number) for number, cell in enumerate(work.cells)}
        for cell, step in zip(work.cells, steps, strict=True):
            outputs[cell.index] = _finished(cell, step, outputs[cell.index], notes)
        if judge is not None:
            asked = [(cell, step.connection) for cell, step in zip(work.cells, steps, strict=True) if step.connection]
            questions = [Question(cell.grade_id, cell.source, connection) for cell, connection in asked]
            verdicts = judge.judge(questions, cell_seconds=work.cell_seconds, seconds=work.notebook_seconds)
            for (cell, _), verdict in zip(asked, verdicts, strict=True):
                outputs[cell.index] = outputs_of(verdict)
    return Result(work.key, {index: as_plain(found) for index, found in outputs.items()}, tuple(notes))


def _finished(cell: CodeCell, step: Step, outputs: list[Any], notes: list[str]) -> list[Any]:
    """The outputs, with the reason at their end if the cell did not run to its own."""
    if step.stopped is None or (step.stopped is Stopped.ErrorNotShown and errors_in(outputs)):
        return outputs
    if step.stopped is not Stopped.KernelGone:
        notes.append(f"cell {cell.grade_id or 'without a name'}: {step.stopped.value}.")
    if cell.judged:
        return [step.stopped.output]
    by_which_stopped = [error for error in errors_in(outputs) if error.ename == "KeyboardInterrupt"]
    return [*(output for output in outputs if output not in by_which_stopped), step.stopped.output]
