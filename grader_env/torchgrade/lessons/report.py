"""What the trials of a lesson prove: which mistakes lose points, where, by what, and which hidden cells are idle."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from torchgrade.lessons.alike import Answers, alike
from torchgrade.lessons.master import Master, has_hidden
from torchgrade.lessons.trials import Trial


@dataclass(frozen=True)
class Report:
    """The trials of one lesson in the order of its bank."""

    master: Master
    trials: tuple[Trial, ...]

    @property
    def mistakes(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.variant.is_mistake]

    @property
    def accepted(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.variant.is_mistake]

    @property
    def survivors(self) -> list[Trial]:
        return [trial for trial in self.mistakes if not trial.failures]

    @property
    def rejected(self) -> list[Trial]:
        return [trial for trial in self.accepted if trial.failures]

    @property
    def crude(self) -> float:
        """The share of mistakes that die by type, shape, dtype or exception in every cell that fails."""
        return sum(map(_dies_crudely, self.mistakes)) / max(1, len(self.mistakes))

    @property
    def idle_cells(self) -> list[str]:
        """Hidden cells that catch nothing but mistakes which visible cells, that students can run, catch already."""
        hidden = {grade_id for grade_id, cell in self.master.graded.items() if has_hidden(cell)}
        unseen = [trial for trial in self.mistakes if hidden.issuperset(_killers(trial))]
        useful = {killer for trial in unseen for killer in _killers(trial)}
        return [grade_id for grade_id in self.master.graded if grade_id in hidden - useful]

    @cached_property
    def unseparated(self) -> list[tuple[Trial, Trial]]:
        """Pairs of mistakes of which the judge can never name one or both, because every cell takes it for the other.

        It names a mistake in the feedback if no other one gives the same replies. Two that say the same count as one.
        """
        return [pair for pair in combinations(self.mistakes, 2) if self._are_unseparated(*pair)]

    def _are_unseparated(self, one: Trial, other: Trial) -> bool:
        of_one, of_other = one.variant, other.variant
        if of_one.exercise != of_other.exercise or (of_one.text, of_one.see) == (of_other.text, of_other.see):
            return False
        mine, others = self._answers(one), self._answers(other)
        both = mine.keys() & others.keys()
        return bool(both) and both in (mine.keys(), others.keys()) and all(alike(mine[c], others[c]) for c in both)

    def _answers(self, trial: Trial) -> dict[str, Answers]:
        """The graded cells of the exercise in which the judge may recognize the mistake."""
        return {
            failure.cell: failure.answers
            for failure in trial.failures
            if failure.answers is not None and self.master.exercise_of(failure.cell) == trial.variant.exercise
        }

    @property
    def is_clean(self) -> bool:
        return bool(self.trials) and not (self.survivors or self.rejected or self.idle_cells)

    @property
    def summary(self) -> str:
        killed, kept = len(self.mistakes) - len(self.survivors), len(self.accepted) - len(self.rejected)
        return f"{self.master.name}: killed {killed}/{len(self.mistakes)}, accepted {kept}/{len(self.accepted)}"

    def to_dict(self) -> dict[str, Any]:
        return {
            **_counts(self.trials),
            "crude": round(self.crude, 3),
            "by_exercise": {
                exercise: _counts(trial for trial in self.trials if trial.variant.exercise == exercise)
                for exercise in self.master.answers
            },
            "idle_cells": self.idle_cells,
            "unseparated": [
                {"exercise": one.variant.exercise, "lines": [one.variant.line, other.variant.line]}
                for one, other in self.unseparated
            ],
            "variants": [self._entry(trial) for trial in self.trials],
        }

    def _entry(self, trial: Trial) -> dict[str, Any]:
        variant, killers = trial.variant, _killers(trial)
        first = trial.failures[0] if trial.failures else None
        return {
            "exercise": variant.exercise,
            "text": variant.text,
            "see": variant.see,
            "line": variant.line,
            "is_mistake": variant.is_mistake,
            "killed": bool(trial.failures),
            "killers": killers,
            "elsewhere": [cell for cell in killers if self.master.exercise_of(cell) != variant.exercise],
            "first_killer": first and (first.cell or None),
            "kind": first and first.kind,
            "message": first and first.message,
        }


def _counts(trials: Iterable[Trial]) -> dict[str, int]:
    trials = list(trials)
    mistakes = [trial for trial in trials if trial.variant.is_mistake]
    accepted = [trial for trial in trials if not trial.variant.is_mistake]
    return {
        "killed": sum(bool(trial.failures) for trial in mistakes),
        "total": len(mistakes),
        "accepted": sum(not trial.failures for trial in accepted),
        "accepted_total": len(accepted),
    }


def _dies_crudely(trial: Trial) -> bool:
    return bool(trial.failures) and all(failure.crude for failure in trial.failures)


def _killers(trial: Trial) -> list[str]:
    return [failure.cell for failure in trial.failures if failure.cell]
