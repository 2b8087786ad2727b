"""What a batch says while it works, and at its end: a line for each submission, then a summary by verdict."""

import time
from collections import Counter
from collections.abc import Mapping

from torchgrade.autograde.converter import Submission
from torchgrade.autograde.judging import verdict_in
from torchgrade.autograde.outcome import Stopped
from torchgrade.autograde.work import Result
from torchgrade.judge.verdict import Kind


class Progress:
    """Tell it what happens to each submission."""

    def __init__(self) -> None:
        self._total = self._done = self._ran = 0
        self._started = time.monotonic()
        self._verdicts: Counter[str] = Counter()
        self._for_a_person: list[str] = []
        self._failures: list[str] = []
        self._unchanged = 0

    def expect(self, submissions: int) -> None:
        self._total += submissions

    def unchanged(self, submission: Submission) -> None:
        self._unchanged += 1
        self._say(submission, "unchanged")

    def graded(self, submission: Submission, results: Mapping[str, Result]) -> None:
        self._ran += 1
        verdicts = Counter(verdict for result in results.values() for verdict in _verdicts(result))
        self._verdicts += verdicts
        if any(kind.needs_person for kind in Kind if verdicts[kind.phrase]):
            self._for_a_person.append(submission.name)
        passed = verdicts[Kind.PASSED.phrase]
        self._say(submission, f"{passed} of {verdicts.total()} graded cells passed")

    def failed(self, submission: Submission, error: Exception) -> None:
        words = " ".join(str(error).split()) or type(error).__name__
        self._failures.append(f"{submission.name}: {words}")
        self._say(submission, f"NOT GRADED: {words}")

    def summary(self) -> int:
        """Print it. 1 if a submission has no score."""
        seconds = time.monotonic() - self._started
        each = f" ({seconds / self._ran:.2f} s each)" if self._ran else ""
        counts = f"{self._unchanged} unchanged; {len(self._failures)} not graded"
        print(f"\n{self._ran} graded in {seconds:.1f} s{each}; {counts}")
        for verdict, count in self._verdicts.most_common():
            print(f"{count:7d}  {verdict}")
        for name in self._for_a_person:
            print(f"a person must look at: {name}")
        for failure in self._failures:
            print(f"not graded: {failure}")
        return 1 if self._failures else 0

    def _say(self, submission: Submission, what: str) -> None:
        self._done += 1
        left = ""
        if self._ran:
            seconds = (time.monotonic() - self._started) / self._done * (self._total - self._done)
            left = f"  ({seconds:.0f} s left)" if seconds >= 1 else ""
        print(f"{self._done:{len(str(self._total))}d}/{self._total}  {submission.name}: {what}{left}", flush=True)


def _verdicts(result: Result) -> list[str]:
    """A phrase for each graded cell."""
    found = []
    for outputs in result.outputs.values():
        if verdict := verdict_in(outputs):
            found.append(verdict.kind.phrase)
        found += [Stopped[error["ename"]].value for error in outputs if error.get("ename") in Stopped.__members__]
    return found
