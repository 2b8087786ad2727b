"""What the grader asks the judge, and for how long it waits. Nothing here needs torch."""

import socket
import time
from dataclasses import dataclass

SECONDS = 30.0  # for the questions of one cell together
OWN_SECONDS = 10.0  # beyond that, for what the cell computes by itself from the answers
RACE_SECONDS = 25.0  # for one race of a speed check, warming up included
CELL_SECONDS = SECONDS + OWN_SECONDS + 2 * RACE_SECONDS
SECONDS_PER_CELL = 2 * CELL_SECONDS + 30  # the cell, the reference after it, and the diagnosis


@dataclass(frozen=True)
class Question:
    """A graded cell (its trusted source, hidden part included) and the connection to the student's snapshot there."""

    grade_id: str
    source: str
    connection: socket.socket


@dataclass(frozen=True)
class Patience:
    """Seconds that a student's process has for the questions of one cell, and until when it is asked at all."""

    cell: float
    until: float


def seconds_from_now(seconds: float) -> float:
    """A deadline for frames and students."""
    return time.monotonic() + seconds
