"""Messages on a stream socket: two lengths, a JSON object, raw bytes.

What comes from a student's process is hostile until proven otherwise: sizes are capped before anything is read, a
deadline holds for a whole frame however slowly its bytes drip, and every failure is a BadFrame.
"""

import json
import socket
import struct
import time
from typing import Any

from torchgrade.caps import MAX_BODY, MAX_HEADER

LENGTHS = struct.Struct(">IQ")  # of the JSON and of the bytes
MAX_JSON = 3 * MAX_HEADER  # the codec's header travels inside, with its quotes escaped
CHUNK = 1 << 20

Header = dict[str, Any]


class BadFrame(Exception):
    """What arrived is no frame."""


class Late(BadFrame):
    """No whole frame arrived in time."""


class Closed(BadFrame):
    """The other side is gone."""


def send(connection: socket.socket, header: Header, body: bytes = b"", *, deadline: float | None = None) -> None:
    """Send a frame; Late or Closed if the other side does not take it until `deadline` (of time.monotonic)."""
    text = json.dumps(header).encode()
    try:
        for part in (LENGTHS.pack(len(text), len(body)) + text, body):
            connection.settimeout(_left(deadline))
            connection.sendall(part)
    except TimeoutError:
        raise Late("not taken in time") from None
    except OSError:
        raise Closed("the other side is gone") from None


def receive(connection: socket.socket, *, deadline: float | None = None) -> tuple[Header, bytes]:
    """The next frame. Raises Late, Closed, or BadFrame for anything that `send` would not have sent."""
    json_size, body_size = LENGTHS.unpack(_exactly(connection, LENGTHS.size, deadline))
    if json_size > MAX_JSON or body_size > MAX_BODY:
        raise BadFrame("larger than the cap")
    text, body = _exactly(connection, json_size, deadline), _exactly(connection, body_size, deadline)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("not JSON") from None
    if type(header) is not dict:
        raise BadFrame("not a JSON object")
    return header, bytes(body)


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytearray:
    found = bytearray()
    while len(found) < size:
        try:
            connection.settimeout(_left(deadline))
            part = connection.recv(min(size - len(found), CHUNK))
        except TimeoutError:
            raise Late("no whole frame in time") from None
        except OSError:
            raise Closed("the other side is gone") from None
        if not part:
            raise Closed("the other side is gone")
        found += part
    return found


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
