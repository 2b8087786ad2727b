"""A fresh Python process for one question: a folder, an environment, a time limit, and a kill of its whole group."""

import contextlib
import math
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

QUESTION, ANSWER, PRINTED, ERRORS = "question", "answer", "printed", "errors"  # files of the folder of both sides
MAX_FILE = 512 << 20  # bytes, so that an endless loop that prints does not fill the disk
MAX_PRINTED = 10_000  # characters that are shown of what the process prints
LAST_WORDS = 2000  # bytes of its stderr
GRACE = 30.0  # seconds to start (importing torch on a busy machine) and to say by itself that it took too long


class Ended(Exception):
    """The process gave no answer.

    status: of its exit; negative is a signal, None took too long
    printed: the beginning of its stdout; last_line: of its stderr
    """

    def __init__(self, status: int | None, printed: str, last_line: str):
        super().__init__(status, last_line)
        self.status, self.printed, self.last_line = status, printed, last_line


def ask(module: str, question: bytes, *, seconds: float, environment: Mapping[str, str]) -> tuple[bytes, str]:
    """(answer, what it printed) of `python -m module FOLDER`, within `seconds` and GRACE.

    environment: variables on top of this process's own. The working directory is the same; it is not searched for
    modules before the libraries. Raises Ended.
    """
    with tempfile.TemporaryDirectory(prefix="torchgrade-triton-") as folder:
        place = Path(folder)
        (place / QUESTION).write_bytes(question)
        with (place / PRINTED).open("wb") as printed, (place / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, folder],
                env={**os.environ, **environment, "TRITON_CACHE_DIR": f"{folder}/cache"},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
                start_new_session=True,
            )
        status = _status(process, seconds + GRACE)
        text = _head(place / PRINTED)
        answer = place / ANSWER
        if status != 0 or not answer.is_file():
            raise Ended(status, text, _last_line(place / ERRORS))
        return answer.read_bytes(), text


def _status(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Its exit status; None if it had to be stopped. What it started ends with it, also when this is interrupted."""
    descriptor = os.pidfd_open(process.pid)
    try:
        ended = bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # before `wait`, which sets the number free
        status = process.wait()
    return status if ended else None


def limit_files() -> None:
    """For the process itself to call; it then gets an OSError where it writes more."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    soft = MAX_FILE if hard == resource.RLIM_INFINITY else min(MAX_FILE, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def limit_cpu(seconds: float) -> None:
    """For the process itself to call: it and what it starts end by themselves, should nobody be left to stop them."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = math.ceil(seconds)
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _head(path: Path) -> str:
    with path.open(encoding="utf8", errors="replace") as file:
        return file.read(MAX_PRINTED)


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-LAST_WORDS:].decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
