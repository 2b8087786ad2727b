"""The grader's end of the warm parent: a sandbox that is a fork of it, ready in a fraction of a cold one's time."""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torchgrade.kernels.parent import MAX_DESCRIPTORS, MAX_REQUEST, READY
from torchgrade.sandbox import Limits, Sandbox, bubblewrap
from torchgrade.sandbox.contained import Contained
from torchgrade.sandbox.sandbox import in_memory, new_group, packed, settings

START_SECONDS = 120.0  # a cold machine reads torch from disk
FORK_SECONDS = 20.0
FORKS = 1000  # then a new parent takes over
CREDENTIALS = struct.Struct("iII")  # of SCM_CREDENTIALS: process, user and group, as seen from here
ENDLESS = 1 << 40
UNLIMITED = Limits(memory=ENDLESS, cpu_seconds=ENDLESS, processes=1 << 20, scratch=1 << 30, open_files=1 << 16)


class NoParent(Exception):
    """There is no warm parent, or it could not fork. The message says why; a cold start is the way out."""


class Parent:
    """A process that has imported everything, in a sandbox, and forks sandboxes. Ends with this process, or `close`.

    It starts in the background: the first fork waits for it.
    """

    def __init__(self) -> None:
        self.forks = 0
        self._ready = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        try:
            with theirs:
                argv = [sys.executable, "-P", "-m", "torchgrade.kernels.parent", str(theirs.fileno())]
                self._sandbox = Sandbox(argv, limits=UNLIMITED, pass_fds=[theirs.fileno()], nests=True)
        except BaseException:
            ours.close()
            raise

    @property
    def alive(self) -> bool:
        return self._sandbox.program_ended() is None

    def wait_until_ready(self) -> None:
        """Raises NoParent if it does not come up."""
        if self._ready:
            return
        select.select([self._socket.fileno(), self._sandbox.ended], [], [], START_SECONDS)
        if not self.alive or self._receive() != READY:
            words = self._sandbox.errors().strip().splitlines()
            raise NoParent(words[-1] if words else "it did not start in time")
        self._ready = True

    def send(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        text = json.dumps(request).encode()
        if len(text) > MAX_REQUEST or len(descriptors) > MAX_DESCRIPTORS:
            raise NoParent(f"a request of {len(text)} bytes and {len(descriptors)} descriptors is too large")
        try:
            socket.send_fds(self._socket, [text], list(descriptors))
        except OSError as error:
            raise NoParent(f"it is gone ({error})") from None
        self.forks += 1

    def close(self) -> None:
        self._socket.close()
        self._sandbox.close()

    def _receive(self) -> bytes:
        self._socket.settimeout(1)
        try:
            return self._socket.recv(len(READY))
        except OSError:
            return b""
        finally:
            self._socket.settimeout(None)


class WarmSandbox(Contained):
    """A sandbox like Sandbox, forked from `parent`. Raises NoParent where that fails, ValueError for a bad file name.

    argv: a program to execute; or kernel: the SPEC of torchgrade.kernels.program, which then needs no execution
    """

    def __init__(
        self,
        parent: Parent,
        *,
        limits: Limits,
        kernel: dict[str, Any] | None = None,
        argv: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ):
        parent.wait_until_ready()
        self._pidfd = -1
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            contents = in_memory(packed(files or {}))
            theirs.callback(os.close, contents)
            control, our_control = os.pipe()
            our_end, status = os.pipe()
            for mine, other in ((our_control, control), (our_end, status)):
                undo.callback(os.close, mine)
                theirs.callback(os.close, other)
            hello, their_hello = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.enter_context(hello)
            theirs.enter_context(their_hello)
            hello.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            given = settings(limits, control=control, status=status, files=contents, passed=pass_fds)
            numbers = [their_hello.fileno(), control, status, contents, *pass_fds]
            request = {"settings": given, "numbers": numbers, "furnish": _furniture(limits)}
            parent.send(request | {"kernel": kernel, "argv": [*argv]}, numbers)
            theirs.close()
            self._init = _greeted(hello)
            self._pidfd = os.pidfd_open(self._init)
            undo.callback(os.close, self._pidfd)
            group = new_group(limits, undo)
            if group is not None:
                group.add(self._init)
            hello.send(b"g")
            hello.close()
            undo.pop_all()
        super().__init__(control=our_control, ended=our_end, limits=limits, group=group)

    @property
    def _pid(self) -> int:
        return self._init

    def _is_gone(self, seconds: float) -> bool:
        return bool(select.select([self._pidfd], [], [], seconds)[0])

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _release(self) -> None:
        os.close(self._pidfd)


class _Shared:
    """The parent of this process's kernels: made when first wanted, made anew when it has died or grown old."""

    def __init__(self) -> None:
        self._parent: Parent | None = None
        atexit.register(self.close)

    def get(self) -> Parent:
        if self._parent is not None and (not self._parent.alive or self._parent.forks >= FORKS):
            self.close()
        if self._parent is None:
            self._parent = Parent()
        return self._parent

    def close(self) -> None:
        if self._parent is not None:
            self._parent.close()
            self._parent = None


shared = _Shared()


def _furniture(limits: Limits) -> dict[str, Any]:
    below_tmp = [path for path in bubblewrap.readable_paths() if path.startswith("/tmp/")]
    sizes = {"scratch": limits.scratch, "shared_memory": bubblewrap.SHARED_MEMORY}
    return {"spare": bubblewrap.SPARE, **sizes, "keep": below_tmp}


def _greeted(hello: socket.socket) -> int:
    """The process that will be process 1 of the sandbox, as numbered here."""
    hello.settimeout(FORK_SECONDS)
    try:
        said, extra, _, _ = hello.recvmsg(1000, socket.CMSG_SPACE(CREDENTIALS.size))
    except OSError as error:
        raise NoParent(f"no answer from the fork ({error})") from None
    if said != READY:
        raise NoParent(said.decode(errors="replace") or "the fork ended at once")
    for level, kind, content in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(CREDENTIALS.unpack(content)[0])
    raise NoParent("the fork did not say who it is")
