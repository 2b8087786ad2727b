"""`make bench-speed`: are verdicts on speed right? 500 of them, on real tensor work, by the way a submission takes.

Each is one graded cell: a forked student, two pinned baselines, the judge's clock. Half of them run beside a process
that keeps a core busy. The true ratio is known by construction: candidate and baseline do the same piece of work 8 and
12 times. Exits with 1 if a verdict 10 % or more from the threshold is wrong, too many stay open, or the median takes
a second or more of measuring.
"""

import multiprocessing
import os
import random
import socket
import statistics
import sys
import time
from collections import Counter

import torch
from torchgrade.check.failures import TooSlow, Undecided
from torchgrade.judge import agent
from torchgrade.judge.question import CELL_SECONDS, seconds_from_now
from torchgrade.judge.remote import RemoteStudent
from torchgrade.lessons.solved import run_graded

MARGINS = {1.3: 100, 1.25: 75, 1.1: 75, 1 / 1.1: 75, 1 / 1.2: 75, 0.8: 100}  # true ratio / threshold -> verdicts
MOST_OPEN = 0.02  # of all verdicts
MEDIAN_SECONDS = 1.0
CELL = """
import torch
from torchgrade import check

def twelve_times(q, k, v):
    for _ in range(12):
        out = (q @ k.mT / 8).softmax(-1) @ v
    return out

def inputs():
    return tuple(torch.randn(1, 1, 192, 64) for _ in range(3))

check.speed(lambda q, k, v: eight_times(q, k, v), twelve_times, inputs, at_least={at_least}, because="")
"""


def eight_times(q, k, v):
    for _ in range(8):
        out = (q @ k.mT / 8).softmax(-1) @ v
    return out


def verdict(at_least: float) -> tuple[str, float, float]:
    """(verdict, ratio measured, seconds)."""
    ours, theirs = socket.socketpair()
    student = os.fork()
    if student == 0:
        ours.close()
        agent.serve(theirs, {"eight_times": eight_times})
        os._exit(0)
    theirs.close()
    who, started = RemoteStudent(ours, deadline=seconds_from_now(CELL_SECONDS)), time.monotonic()
    try:
        run_graded(CELL.format(at_least=at_least), "speed", who)
        found = "passed"
    except TooSlow:
        found = "too slow"
    except Undecided:
        found = "open"
    finally:
        ours.close()
        os.waitpid(student, 0)
    return found, who.records[-1].ratio, time.monotonic() - started


def busy() -> None:
    while True:
        sum(range(10**6))


def main() -> None:
    torch.set_num_threads(1)
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    wrong = still_open = 0
    times: list[float] = []
    for load in ("idle", "beside a busy process"):
        other = multiprocessing.Process(target=busy, daemon=True)
        if load != "idle":
            other.start()
        jobs = [margin for margin, count in MARGINS.items() for _ in range(max(1, round(count * scale / 2)))]
        random.shuffle(jobs)
        counts: dict[float, Counter[str]] = {margin: Counter() for margin in MARGINS}
        ratios: dict[float, list[float]] = {margin: [] for margin in MARGINS}
        for margin in jobs:
            found, ratio, seconds = verdict(1.5 / margin)
            counts[margin][found] += 1
            ratios[margin].append(ratio)
            times.append(seconds)
        if load != "idle":
            other.kill()
        print(load)
        for margin in MARGINS:
            low, middle, high = (min(ratios[margin]), statistics.median(ratios[margin]), max(ratios[margin]))
            print(
                f"  {margin:.2f} of the threshold: {dict(counts[margin])}, ratios {low:.2f}, {middle:.2f}, {high:.2f}"
            )
            wrong += counts[margin]["too slow" if margin > 1 else "passed"]
            still_open += counts[margin]["open"]
    median = statistics.median(times)
    print(f"{len(times)} verdicts: {wrong} wrong, {still_open} open, median {median:.2f} s, longest {max(times):.1f} s")
    if wrong or still_open > MOST_OPEN * len(times) or median >= MEDIAN_SECONDS:
        sys.exit(1)


if __name__ == "__main__":
    main()
