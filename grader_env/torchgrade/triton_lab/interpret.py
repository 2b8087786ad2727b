"""`python -m torchgrade.triton_lab.interpret FOLDER`: run a probe in Triton's interpreter. TRITON_INTERPRET is set."""

import contextlib
import dataclasses
import json
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from torchgrade.check.student import LocalStudent, Probe, Reply
from torchgrade.triton_lab import bfloat16
from torchgrade.triton_lab.definitions import Namespace, Question, define, find_modules
from torchgrade.triton_lab.launches import Recorder
from torchgrade.triton_lab.own_process import ANSWER, QUESTION, limit_files
from torchgrade.triton_lab.traffic import Traffic


def main(folder: Path) -> None:
    question: Question = pickle.loads((folder / QUESTION).read_bytes())
    limit_files()
    torch.set_num_threads(1)
    find_modules(question.path)
    namespace: Namespace = {"__name__": "__main__"}
    traffic = Traffic()
    recorder = Recorder(traffic, namespace)
    bfloat16.watch()
    traffic.watch()
    recorder.watch()
    reply = _reply(question, namespace)
    header: dict[str, Any] = {"value": reply.header.decode(), "unsendable": reply.unsendable}
    header |= {"raised": None if reply.raised is None else dataclasses.asdict(reply.raised)}
    header |= {"launches": recorder.launches, "loaded": traffic.loaded, "stored": traffic.stored}
    (folder / ANSWER).write_bytes(json.dumps(header).encode() + b"\n" + reply.body)


def _reply(question: Question, namespace: Namespace) -> Reply:
    student = LocalStudent(namespace)
    try:
        define(question.needed, namespace)
    except Exception as error:  # it ran in the notebook, and may fail here in any way
        return student.failure(error)
    with _time_limit(question.seconds):
        return student.answer(Probe(question.payload, question.seed))


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises where the student's code is, so that the message names their line."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it did not end within {seconds:g} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
