"""A copy of the student's process at one place of the notebook, which waits for the judge's questions."""

import contextlib
import os
import resource
import signal
import socket
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from torchgrade.judge import agent
from torchgrade.lessons.forked import silence


def take(connection: int, namespace: dict[str, Any], others: Iterable[int]) -> None:
    """Fork; the copy answers on the descriptor `connection` from `namespace` and never returns.

    There is room for it even if the student's code has used up its own processes. It closes `others`, on which later
    copies will answer: the judge must see when one of those is gone. What the copy prints goes nowhere. It outlives
    this process, and a signal for this process does not reach it.
    Raises OSError if there is no room for another process; the judge then finds the connection closed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forking with threads, which is the point
        try:
            with _spare_processes():
                child = os.fork()
        except OSError:
            os.close(connection)
            raise
    if child:
        os.close(connection)
        return
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for other in others:
            os.close(other)
        silence()
        with contextlib.suppress(OSError):
            agent.serve(socket.socket(fileno=connection), namespace)
    finally:
        os._exit(0)


@contextlib.contextmanager
def _spare_processes() -> Iterator[None]:
    """Within this block as many processes as the sandbox allows at all: a student's may have used up the others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
