"""Process 1 of a sandbox: starts the program, stays after its end, and ends with the grader.

    python -I -S inside.py SETTINGS PROGRAM ARGUMENT...

SETTINGS is JSON: control, status, files, passed (descriptors), work and home (folders to make), uid (or null), limits
({name of the resource: [soft, hard]}).

The end of `control` ends the sandbox; a byte on it ends the program alone. To `status` goes one JSON line when the
program has ended. `files` holds {name: size} as a JSON line, then the contents. What the program leaves running (copies
of it, for instance) lives on. Standard library only: it starts in milliseconds.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

PR_SET_DUMPABLE = 4  # of <sys/prctl.h>: nobody else of this user may look into this process
LAST_WORDS = 2000  # bytes of the program's stderr
STDERR = "/tmp/.stderr"


def main() -> None:
    settings, program = json.loads(sys.argv[1]), sys.argv[2:]
    if settings["uid"] is not None:
        _become(settings["uid"])
    supervise(settings, lambda: os.execv(program[0], program))


def supervise(settings: dict[str, Any], start: Callable[[], None]) -> NoReturn:
    """Be process 1: `start` the program in a fork, and do what the grader says until it hangs up."""
    control, status, files = settings["control"], settings["status"], settings["files"]
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0)
    os.mkdir(settings["home"])
    os.mkdir(settings["work"])
    os.chdir(settings["work"])
    _unpack(files)
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        for descriptor in (control, status, files, wake, waker):
            os.close(descriptor)
        libc.prctl(PR_SET_DUMPABLE, 1)  # the program is an ordinary process
        _limit(settings["limits"])
        errors = os.open(STDERR, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, 2)
        start()
        os._exit(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for descriptor in (files, *settings["passed"]):
        os.close(descriptor)
    child = _reap(child, status)  # it may have ended before anybody listened
    while True:
        ready, _, _ = select.select([control, wake], [], [])
        if control in ready:
            if not os.read(control, 1):
                os._exit(0)  # and with it every process here
            if child:
                os.kill(child, signal.SIGKILL)
        if wake in ready:
            os.read(wake, 512)
            child = _reap(child, status)


def _reap(program: int, status: int) -> int:
    """Bury the dead. Returns `program` while it lives, then 0."""
    while True:
        try:
            ended, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return program
        if ended == 0:
            return program
        if ended == program:
            program = 0
            report = {"status": os.waitstatus_to_exitcode(how), "errors": _last_words()}
            os.write(status, json.dumps(report).encode() + b"\n")


def _last_words() -> str:
    try:
        with open(STDERR, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS))
            return file.read(LAST_WORDS).decode(errors="replace")
    except OSError:
        return ""


def _become(uid: int) -> None:
    """With the last of root's ids go all capabilities, for good: bwrap has set no_new_privs."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _unpack(descriptor: int) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as packed:
        packed.seek(0)
        for name, size in json.loads(packed.readline()).items():
            if folder := os.path.dirname(name):
                os.makedirs(folder, exist_ok=True)
            with open(name, "wb") as file:
                file.write(packed.read(size))


def _limit(limits: dict[str, list[int]]) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # when memory runs out in a control group, process 1 is not the one to go
    for name, (soft, hard) in limits.items():
        number = getattr(resource, name)
        highest = resource.getrlimit(number)[1]
        hard = hard if highest == resource.RLIM_INFINITY else min(hard, highest)
        resource.setrlimit(number, (min(soft, hard), hard))


if __name__ == "__main__":
    main()
