"""A map of where values are wrong as a small gray picture: a cell for each place, dark where something is wrong."""

import struct
import zlib
from collections.abc import Sequence

SIDE = 192  # pixels of the longer side, about
GAP = 1
WRONG, RIGHT, LINE = 40, 225, 150  # grays


def png(cells: Sequence[str]) -> bytes:
    """cells: row by row, "1" where something is wrong"""
    size = max(3, SIDE // max(len(cells), len(cells[0])))
    width = len(cells[0]) * size + GAP
    line = bytes([LINE]) * width
    lines = [line]
    for row in cells:
        shades = (WRONG if cell == "1" else RIGHT for cell in row)
        filled = b"".join(bytes([LINE]) * GAP + bytes([shade]) * (size - GAP) for shade in shades) + bytes([LINE]) * GAP
        lines += [filled] * (size - GAP) + [line] * GAP
    pixels = b"".join(b"\0" + one for one in lines)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, len(lines), 8, 0, 0, 0, 0)  # 8 bits of gray
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
