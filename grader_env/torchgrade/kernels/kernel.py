"""Run cells in a student's kernel and believe nothing it says: outputs are data, counted while they are read."""

import contextlib
import json
import math
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any

import zmq
from jupyter_client.session import Session
from traitlets.log import get_logger

from torchgrade.errors import CourseError
from torchgrade.kernels.channels import Channels
from torchgrade.kernels.warm import NoParent, Parent, WarmSandbox
from torchgrade.sandbox import Limits, Sandbox
from torchgrade.sandbox.contained import Contained

Message = dict[str, Any]

START_SECONDS = 120.0  # a cold machine reads torch from disk
SNAPSHOT_SECONDS = 20.0
INTERRUPT_SECONDS = 3.0  # from the interrupt to the reply; then the kernel is stopped
SEND_MILLISECONDS = 1000  # messages wait in a queue; without a peer there is none, and libzmq would wait for ever
LAST_WORDS = 2.0  # seconds to wait for outputs once the reply is here: a flooded channel loses messages
WELCOME_SECONDS = 5.0  # what is printed before the kernel knows of a new listener is lost
MAX_MESSAGE = 32 << 20  # bytes; libzmq drops a larger one unread


class Ended(Enum):
    """How a cell ended."""

    DONE = auto()
    FAILED = auto()  # with an error of its own
    TIME = auto()  # interrupted
    OUTPUT = auto()  # interrupted, because it printed too much
    STUCK = auto()  # not to be interrupted: the kernel was stopped
    DIED = auto()  # the kernel died


@dataclass
class OutputLimit:
    """What cells may still print; shared by the cells of a notebook where the caller shares it."""

    bytes: int = 4 << 20
    messages: int = 2000

    def take(self, size: int) -> bool:
        """Whether another message of this size is within the limit."""
        self.bytes -= size
        self.messages -= 1
        return self.bytes >= 0 and self.messages >= 0


class Kernel:
    """A kernel in a sandbox of its own. `with` ends both.

    connections: the students' ends of socket pairs, one per snapshot that will be asked for
    files: put into the work folder before the start
    parent: forks the kernel, in a fraction of a second; without one, or if it cannot, Python and torch start afresh

    After `stop` (or the kernel's death) its snapshots live on until `close`.
    Raises CourseError if the kernel does not start.
    """

    def __init__(
        self,
        *,
        connections: Sequence[socket.socket] = (),
        files: Mapping[str, bytes] | None = None,
        limits: Limits,
        parent: Parent | None = None,
    ):
        with contextlib.ExitStack() as undo:
            self._channels = undo.enter_context(Channels())
            self._session = Session(key=secrets.token_hex(32).encode())
            self._sandbox = undo.enter_context(self._start(connections, files or {}, limits, parent))
            self._context = undo.enter_context(zmq.Context())
            self._shell, self._control = (self._connect(zmq.DEALER, name) for name in ("shell", "control"))
            self._listen()
            self._wait_until_ready()
            self._undo = undo.pop_all()

    @property
    def alive(self) -> bool:
        return self._sandbox.program_ended() is None

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether it, or something it started, was ended for memory."""
        return self._sandbox.ran_out_of_memory

    @property
    def lost_its_snapshots(self) -> bool:
        """Whether the sandbox as a whole was ended."""
        return self._sandbox.ended_for_memory

    def run(self, source: str, *, seconds: float, limit: OutputLimit, on_output: Callable[[Message], None]) -> Ended:
        """Run a cell for at most `seconds`. `on_output` gets each message of the output channel that belongs to it."""
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        request = self._send("execute_request", {**content, "user_expressions": {}, "stop_on_error": False})
        deadline, interrupted, answered, idle = time.monotonic() + seconds, None, False, False
        ended = Ended.DONE
        while not (answered and idle):
            for channel, message, size in self._received(deadline - time.monotonic()):
                if channel is self._shell:
                    if message is not None and _answers(message, request) and not answered:
                        answered, deadline = True, time.monotonic() + LAST_WORDS
                        ended = Ended.FAILED if message["content"].get("status") == "error" else Ended.DONE
                elif interrupted is not Ended.OUTPUT and not limit.take(size):
                    interrupted, deadline = Ended.OUTPUT, self._interrupt()
                elif message is not None and _answers(message, request):
                    idle = idle or _is_idle(message)
                    if interrupted is not Ended.OUTPUT:
                        on_output(message)
            if not self.alive and not self._iopub.poll(0):
                return Ended.DIED
            if time.monotonic() >= deadline and not (answered and idle):
                if answered:  # what it printed last was too large to be taken in
                    self._listen_again()
                    return Ended.OUTPUT
                if interrupted:
                    self.stop()
                    return Ended.STUCK
                interrupted, deadline = Ended.TIME, self._interrupt()
        return interrupted or ended

    def snapshot(self, connection: socket.socket) -> bool:
        """Fork a copy of the kernel that answers on `connection`; False if that fails. A stuck kernel is stopped."""
        request = self._send("snapshot_request", {"connection": connection.fileno()})
        deadline = time.monotonic() + SNAPSHOT_SECONDS
        while self.alive and time.monotonic() < deadline:
            for channel, message, _ in self._received(deadline - time.monotonic()):
                if channel is self._shell and message is not None and _answers(message, request):
                    return message["content"].get("status") == "ok"
        self.stop()
        return False

    def stop(self) -> None:
        """End the kernel. Its snapshots stay."""
        self._sandbox.end_program()

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _start(
        self,
        connections: Sequence[socket.socket],
        files: Mapping[str, bytes],
        limits: Limits,
        parent: Parent | None,
    ) -> Contained:
        channels = self._channels.descriptors
        ends = [connection.fileno() for connection in connections]
        spec = {"key": self._session.key.decode(), "channels": channels, "connections": ends}
        passed = [*channels.values(), *ends]
        if parent is not None:
            try:
                return WarmSandbox(parent, kernel=spec, limits=limits, files=files, pass_fds=passed)
            except NoParent as error:
                get_logger().warning("A kernel starts cold, which costs seconds: %s.", error)
        argv = [sys.executable, "-P", "-m", "torchgrade.kernels.program", json.dumps(spec)]
        return Sandbox(argv, limits=limits, files=files, pass_fds=passed)

    def _connect(self, kind: int, name: str) -> zmq.Socket[bytes]:
        channel: zmq.Socket[bytes] = self._context.socket(kind)
        channel.linger = 0
        channel.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        channel.setsockopt(zmq.SNDTIMEO, SEND_MILLISECONDS)
        channel.connect(f"ipc://{self._channels.base}-{self._channels.connection_info[name + '_port']}")
        return channel

    def _listen(self) -> None:
        """Subscribe to the output channel."""
        self._iopub = self._connect(zmq.SUB, "iopub")
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")

    def _listen_again(self) -> None:
        """After libzmq has closed the channel because of a message that is too large; until the kernel says welcome."""
        self._listen()
        deadline = time.monotonic() + WELCOME_SECONDS
        while self.alive and time.monotonic() < deadline:
            for _, message, _ in self._received(deadline - time.monotonic()):
                if message is not None and message["header"].get("msg_type") == "iopub_welcome":
                    return

    def _wait_until_ready(self) -> None:
        """Until the kernel answers, and its output channel has taken our subscription (it says welcome)."""
        request = self._send("kernel_info_request", {})
        deadline, answered, welcome = time.monotonic() + START_SECONDS, False, False
        while not (answered and welcome):
            if not self.alive or time.monotonic() > deadline:
                raise CourseError(
                    "the student's kernel did not start" + (f": {words}." if (words := self._last_words()) else "."),
                    where="sandbox",
                    remedy="Run `torchgrade doctor`; it says what this machine lacks.",
                )
            for channel, message, _ in self._received(deadline - time.monotonic()):
                if message is not None:
                    answered |= channel is self._shell and _answers(message, request)
                    welcome |= message["header"].get("msg_type") == "iopub_welcome"

    def _last_words(self) -> str:
        lines = self._sandbox.errors().strip().splitlines()
        return lines[-1] if lines else ""

    def _interrupt(self) -> float:
        """Ask for an interrupt; the time until which it may take."""
        self._post(self._control, self._session.msg("interrupt_request", {}))
        return time.monotonic() + INTERRUPT_SECONDS

    def _send(self, kind: str, content: Message) -> str:
        message = self._session.msg(kind, content)
        self._post(self._shell, message)
        return message["header"]["msg_id"]

    def _post(self, channel: zmq.Socket[bytes], message: Message) -> None:
        """Send. A kernel whose sockets were broken, by garbage written into them, takes nothing: it is stopped."""
        try:
            self._session.send(channel, message)
        except zmq.Again:
            self.stop()

    def _received(self, seconds: float) -> list[tuple[zmq.Socket[bytes], Message | None, int]]:
        """(channel, message, bytes) of what is there, or comes within `seconds`, or before the kernel ends.

        The message is None if it cannot be read.
        """
        poller = zmq.Poller()
        for channel in (self._shell, self._control, self._iopub):
            poller.register(channel, zmq.POLLIN)
        poller.register(self._sandbox.ended, zmq.POLLIN)
        ready = dict(poller.poll(math.ceil(max(0.0, seconds) * 1000)))
        found = []
        for channel in (self._iopub, self._shell, self._control):
            if channel in ready:
                parts = channel.recv_multipart()
                found.append((channel, self._read(parts), sum(map(len, parts))))
        return found

    def _read(self, parts: list[bytes]) -> Message | None:
        try:
            _, signed = self._session.feed_identities(parts)
            message = self._session.deserialize(signed)
        except Exception:  # whatever the library runs into: the student's process may send anything
            return None
        well_formed = all(isinstance(message.get(part), dict) for part in ("header", "parent_header", "content"))
        return message if well_formed else None


def _answers(message: Message, request: str) -> bool:
    return message["parent_header"].get("msg_id") == request


def _is_idle(message: Message) -> bool:
    return message["header"].get("msg_type") == "status" and message["content"].get("execution_state") == "idle"
