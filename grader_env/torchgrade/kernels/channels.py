"""Jupyter's five channels over unix sockets that the grader opens and the kernel inherits.

The kernel needs no folder that the outside can see, and a client may connect before the kernel has started.
"""

import socket
import tempfile
from pathlib import Path
from types import TracebackType

NAMES = ("shell", "iopub", "stdin", "control", "hb")
BACKLOG = 16


class Channels:
    """Listening sockets, one per channel. `with` closes and removes them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tg-")  # short: a socket's path has 107 bytes at most
        self.base = str(Path(self._folder.name, "k"))
        self._listeners = {name: self._listen(number) for number, name in enumerate(NAMES, 1)}

    @property
    def descriptors(self) -> dict[str, int]:
        return {name: listener.fileno() for name, listener in self._listeners.items()}

    @property
    def connection_info(self) -> dict[str, str | int]:
        """What a Jupyter client needs, but for the key."""
        ports = {f"{name}_port": number for number, name in enumerate(NAMES, 1)}
        return {"transport": "ipc", "ip": self.base, "signature_scheme": "hmac-sha256", **ports}

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._folder.cleanup()

    def __enter__(self) -> "Channels":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _listen(self, number: int) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self.base}-{number}")
        listener.listen(BACKLOG)
        return listener
