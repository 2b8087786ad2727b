"""What the student's side answers to `check.triton`: runs in the notebook, or in its copy in a sandbox."""

import json
import pickle
import signal
import sys
from typing import Any

import torch

from torchgrade.check import capture, codec
from torchgrade.check.student import Line, Raised, RaisedElsewhere
from torchgrade.triton_lab import own_process
from torchgrade.triton_lab.definitions import Kernels, Namespace, Question
from torchgrade.triton_lab.remembered import key_of, once, once_for_user
from torchgrade.triton_lab.sources import names_read, needed_for

SECONDS = 60.0  # for one probe in the interpreter, for compiling its kernels, and for timing
ON_THE_CPU = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
INTERPRETED = ON_THE_CPU | {"TRITON_INTERPRET": "1"}
COMPILED = ON_THE_CPU | {"TRITON_INTERPRET": "0"}
TIMED = {"TRITON_INTERPRET": "0"}

Plain = dict[str, Any]


def answer(payload: bytes, seed: int, targets: tuple[int, ...], names: Namespace) -> Plain:
    """Plain data for report.Report.

    payload: the packed probe; targets: such as 80 for sm_80; names: of the notebook
    Raises RaisedElsewhere for what the student's code raised, codec.Unsendable for a result that cannot cross.
    """
    needed = needed_for(names_read(capture.unpack(payload, {})), names)
    question = Question(payload, seed, needed, tuple(sys.path), SECONDS)
    header, body = once(key_of(needed, payload, seed, SECONDS), lambda: _interpreted(question))
    if header["raised"] is not None:
        raise RaisedElsewhere(_raised(header["raised"]))
    if header["unsendable"] is not None:
        raise codec.Unsendable(header["unsendable"])
    result = codec.decode(header["value"].encode(), body)
    launches = [{**launch, "compiled": {}} for launch in header["launches"]]
    _compile(launches, targets, names)
    for launch in launches:
        del launch["job"]
    seconds = _seconds(question) if torch.cuda.is_available() else None
    return {"result": result, "seconds": seconds, "launches": launches} | {
        counter: header[counter] for counter in ("loaded", "stored")
    }


def _interpreted(question: Question) -> tuple[Plain, bytes]:
    header, body = _of_students(question, "interpret", INTERPRETED).split(b"\n", 1)
    return json.loads(header), body


def _compile(launches: list[Plain], targets: tuple[int, ...], names: Namespace) -> None:
    """Fill in launch["compiled"], {target: resources}; equal launches are compiled once."""
    for launch in launches:
        if isinstance(launch["job"], str):
            launch["compiled"] = {target: {"error": launch["job"]} for target in targets}
    waiting = [launch for launch in launches if not isinstance(launch["job"], str)]
    jobs = {json.dumps(launch["job"], sort_keys=True): launch["job"] for launch in waiting}
    if not jobs or not targets:
        return
    roots = {job["name"] for job in jobs.values()}
    kernels = Kernels(
        tuple(jobs.values()), targets, needed_for(roots | _kernels_in(jobs), names), tuple(sys.path), SECONDS
    )
    key = key_of(kernels.needed, sorted(jobs), targets)
    try:
        found = once(key, lambda: once_for_user(key, lambda: _machine_code(kernels)))
    except own_process.Ended as ended:
        found = [{str(target): {"error": _why(ended)} for target in targets} for _ in jobs]
    compiled = dict(zip(jobs, found, strict=True))
    for launch in waiting:
        by_target = compiled[json.dumps(launch["job"], sort_keys=True)]
        launch["compiled"] = {target: by_target[str(target)] for target in targets}


def _kernels_in(jobs: dict[str, Plain]) -> set[str]:
    """The kernels that are constants of other kernels."""
    constants = [value for job in jobs.values() for _, value in job["constants"]]
    return {value["kernel"] for value in constants if isinstance(value, dict) and "kernel" in value}


def _machine_code(kernels: Kernels) -> list[Plain]:
    said, _ = _ask("compile", kernels, COMPILED)
    found: list[Plain] = json.loads(said)
    return found


def _seconds(question: Question) -> float:
    return float(json.loads(_of_students(question, "timed", TIMED)))


def _of_students(question: Question, module: str, environment: dict[str, str]) -> bytes:
    """The answer; what the code prints is shown, and an end without an answer is the code's own."""
    try:
        said, printed = _ask(module, question, environment)
    except own_process.Ended as ended:
        print(ended.printed, end="")
        kinds = ("TimeoutError", "OSError") if ended.status is None else ("RuntimeError",)
        raise RaisedElsewhere(Raised((*kinds, "Exception", "BaseException"), _why(ended), ())) from None
    print(printed, end="")
    return said


def _ask(module: str, question: Question | Kernels, environment: dict[str, str]) -> tuple[bytes, str]:
    module = f"torchgrade.triton_lab.{module}"
    return own_process.ask(module, pickle.dumps(question), seconds=SECONDS, environment=environment)


def _why(ended: own_process.Ended) -> str:
    if ended.status is None:
        return f"it did not end within {SECONDS:g} s"
    if ended.status < 0:
        return f"the process that ran the kernel was ended by {signal.Signals(-ended.status).name}"
    return f"the process that ran the kernel ended: {ended.last_line}"


def _raised(raised: Plain) -> Raised:
    return Raised(tuple(raised["kinds"]), raised["message"], tuple(Line(**line) for line in raised["lines"]))
