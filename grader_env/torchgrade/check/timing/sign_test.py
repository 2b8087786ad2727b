"""A group-sequential sign test: look at the pairs a few times and stop as soon as the answer is clear.

With a fair coin in the place of the machine each look keeps its side's error low: 0.14 % in all (exact binomial).
"""

from enum import Enum

LOOKS = {11: 11, 19: 17, 31: 25, 51: 38}  # pairs seen -> wins (or losses) that decide
MOST = max(LOOKS)


class Outcome(Enum):
    PASS = "passed"
    FAIL = "failed"
    OPEN = "open"


def look(wins: int, pairs: int) -> Outcome:
    """The outcome after `pairs` pairs; OPEN also at a number at which nobody looks."""
    needed = LOOKS.get(pairs)
    if needed is None:
        return Outcome.OPEN
    if wins >= needed:
        return Outcome.PASS
    return Outcome.FAIL if pairs - wins >= needed else Outcome.OPEN
