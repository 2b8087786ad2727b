"""What the judge says about a graded cell."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """kind -> how it reads after "this check: ..." """

    PASSED = "passed"
    FAILED = "failed"
    NO_ANSWER = "not answered yet"
    TIME = "your code did not finish in time"
    CRASHED = "your code ended the process that ran it"
    UNREADABLE = "your code's answer could not be read"
    GRADER_ERROR = "could not be judged, through no fault of yours: a person will look at it"
    INCONCLUSIVE = "the measurement was not conclusive: a person will look at it"

    @property
    def phrase(self) -> str:
        return self.value

    @property
    def needs_person(self) -> bool:
        return self in (Kind.GRADER_ERROR, Kind.INCONCLUSIVE)


@dataclass(frozen=True)
class Diagnosis:
    """The mistake of the lesson's list that gives exactly the student's results. `see`: the section to read again."""

    misconception: str
    see: str

    @property
    def sentence(self) -> str:
        return f"This is what comes out when {self.misconception}. Section {self.see} explains it."


@dataclass(frozen=True)
class Stop:
    """The student's own error, and the innermost line of theirs that it passed through.

    All of it is what the student's process says: staff may read it, a student only after torchgrade.feedback.stops.

    error: the name of its class
    line, number: the line without its indentation, and its number in its cell; empty and 0 if there is none
    """

    error: str
    line: str = ""
    number: int = 0


@dataclass(frozen=True)
class Verdict:
    """One graded cell.

    failure: the class name of what failed, as in torchgrade.check.failures; empty if it passed
    message: for staff, and for the student if the cell is visible
    stop: where the student's code stopped, if an error of its own was why
    speed: what was measured (timing.record.Record.to_dict), if it is a speed check
    picture: of that, or of where values are wrong, or of how memory grew: a PNG in base64
    in_words: what the picture shows, without anything that is hidden
    detail: for staff, when a person must look
    seconds: it took to judge, without the diagnosis
    """

    grade_id: str
    kind: Kind
    message: str = ""
    failure: str = ""
    detail: str = ""
    stop: Stop | None = None
    diagnosis: Diagnosis | None = None
    speed: dict[str, Any] | None = None
    picture: str = ""
    in_words: str = ""
    seconds: float = 0.0

    @property
    def needs_person(self) -> bool:
        return self.kind.needs_person

    @property
    def for_staff(self) -> str:
        parts = (self.kind.phrase, self.message, self.detail, self.diagnosis.sentence if self.diagnosis else "")
        return "\n".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.name}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Verdict":
        stop = Stop(**data["stop"]) if data.get("stop") else None  # not in what an older version has graded
        diagnosis = Diagnosis(**data["diagnosis"]) if data["diagnosis"] else None
        return cls(**{**data, "kind": Kind[data["kind"]], "stop": stop, "diagnosis": diagnosis})
