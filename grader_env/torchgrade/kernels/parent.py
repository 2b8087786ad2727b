"""`python -m torchgrade.kernels.parent DESCRIPTOR`: has imported what every kernel needs, and forks kernels.

It runs in a sandbox itself, holds nothing that a student must not know, runs nothing of a student's, and has one
thread. For each request it forks, and the fork makes itself a sandbox of its own (torchgrade.sandbox.nested) before
anything of a student's is there.

A request is one message on the socket: JSON {"settings": those of inside.py, "numbers": [descriptor, ...], "furnish":
those of nested.furnish, "kernel": the SPEC of program.py or "argv": [...]}, with the descriptors. The numbers are what
the settings call them; the first is a socket on which the fork says "ready" and waits for a byte, or says what went
wrong.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from typing import Any

from torchgrade.kernels import huge_pages
from torchgrade.sandbox import inside, nested

MAX_REQUEST = 1 << 18  # bytes
MAX_DESCRIPTORS = 250  # in one message; Linux allows 253
READY = b"ready"
# What a lesson imports sooner or later. torch._dynamo comes with the first optimizer step, debugpy with every kernel.
PRELOADED = (
    *("torch", "torch._dynamo", "torch.utils.data", "numpy", "matplotlib.pyplot", "matplotlib_inline.backend_inline"),
    *("debugpy", "ipykernel.kernelapp", "torchgrade.check", "torchgrade.plots", "torchgrade.progress"),
    "torchgrade.kernels.program",
)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in PRELOADED:
        importlib.import_module(module)
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)  # set by one of them; a kernel decides for itself
    if (threads := len(os.listdir("/proc/self/task"))) != 1:
        raise SystemExit(f"the parent of the kernels has {threads} threads; a fork of it would hang")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared
    huge_pages.collapse()
    control.send(READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, MAX_DESCRIPTORS)
        if not request:
            return
        if os.fork() == 0:
            try:
                control.close()
                _become(json.loads(request), descriptors)
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    _renumber(descriptors, request["numbers"])
    hello = socket.socket(fileno=request["numbers"][0])
    try:
        nested.enter()
        nested.furnish(**request["furnish"])
        os.environ["TMPDIR"] = "/tmp"
        hello.send(READY)
        if not hello.recv(1):
            return
        nested.give_up_privileges()
    except OSError as error:
        hello.send(str(error).encode())
        return
    hello.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    inside.supervise(request["settings"], lambda: _start(request))


def _start(request: dict[str, Any]) -> None:
    if argv := request.get("argv"):
        os.execv(argv[0], argv)
    from torchgrade.kernels import program

    tempfile.tempdir = None
    program.run(request["kernel"])


def _renumber(descriptors: list[int], numbers: list[int]) -> None:
    """Give descriptors the numbers they have in the grader, and close all others."""
    free = max(numbers) + 1
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, free) for descriptor in descriptors]
    for descriptor, number in zip(high, numbers, strict=True):
        os.dup2(descriptor, number, inheritable=True)
    keep = {0, 1, 2, *numbers}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


if __name__ == "__main__":
    main()
