"""What a race of candidate and baseline measured."""

import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

RESAMPLES = 2000


class Finding(Enum):
    """finding -> how it reads after "the measurement ..." """

    PASS = "is clear: fast enough"
    FAIL = "is clear: too slow"
    INCONCLUSIVE = "is too close to call"
    UNFIT = "cannot be trusted: this machine was too unsteady"
    SUSPICIOUS = "looks odd: a person will look at it"


@dataclass(frozen=True)
class Record:
    """One race.

    ratios: baseline time / candidate time of each pair; all of them, for the picture
    at_least: the ratio that is asked for
    seconds: (baseline, candidate) per call, medians over the pairs
    first: seconds of the candidate's first call, compilation included
    way: part of a baseline's call that is not its work but the way of inputs and results; it is subtracted
    even: median of baseline time / time of a second baseline; None where there was no second one
    seed: of the inputs and of the order
    load: 1-minute load average at the end
    pinned: whether both sides shared one core
    why: what is odd or uneven about it, for staff
    """

    finding: Finding
    ratios: tuple[float, ...]
    at_least: float
    seconds: tuple[float, float]
    first: float
    way: float
    even: float | None
    seed: int
    load: float
    pinned: bool
    why: str = ""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the median ratio (percentiles of 2,000 resamples)."""
        draw = random.Random(self.seed)
        medians = sorted(statistics.median(draw.choices(self.ratios, k=len(self.ratios))) for _ in range(RESAMPLES))
        return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]

    @property
    def sentence(self) -> str:
        """How far it is, for a student."""
        low, high = self.interval
        relation = "met" if self.finding is Finding.PASS else "not met"
        if self.finding not in (Finding.PASS, Finding.FAIL):
            relation = f"the measurement {self.finding.value}"
        return (
            f"{self.ratio:.2f} times as fast as the baseline; {self.at_least:g} times is needed: {relation}"
            f" (95 % interval {low:.2f} to {high:.2f}, {len(self.ratios)} pairs)"
        )

    @property
    def for_staff(self) -> str:
        milliseconds = " and ".join(f"{1000 * seconds:.2f} ms" for seconds in self.seconds)
        even = "" if self.even is None else f", baseline against itself {self.even:.3f}"
        core = "on one core" if self.pinned else "not pinned: this machine does not allow it"
        words = (
            f"baseline and candidate {milliseconds} a call, the way {self.way:.0%} of it, first call {self.first:.2f} s"
        )
        return f"{words}{even}; {core}; load {self.load:.1f}, seed {self.seed}" + f"; {self.why}" * bool(self.why)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the sentence and the interval included."""
        derived = {"finding": self.finding.name, "interval": self.interval, "sentence": self.sentence}
        return {**asdict(self), **derived}


def load_average() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
