"""What class.toml and roster.csv say, as plain data."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Role(StrEnum):
    STUDENT = "student"
    TA = "ta"
    INSTRUCTOR = "instructor"

    @property
    def is_staff(self) -> bool:
        return self is not Role.STUDENT


class Isolation(StrEnum):
    NONE = "none"  # a demonstration: one unix user for all
    USERS = "users"  # a unix user for everybody


@dataclass(frozen=True)
class Person:
    name: str  # the hub's and nbgrader's name; with Isolation.USERS also that of the unix user
    role: Role
    first_name: str = ""
    last_name: str = ""
    email: str = ""


@dataclass(frozen=True)
class Machine:
    isolation: Isolation
    folder: Path
    address: str
    spawner: str = "local"
    certificate: str = ""
    key: str = ""
    subdomains: bool = False


@dataclass(frozen=True)
class Limits:
    memory: str
    cores: float
    servers: int


@dataclass(frozen=True)
class Idle:
    minutes: int
    hours: int


@dataclass(frozen=True)
class Late:
    """percent_a_day: of the score, for each day begun after the days of grace"""

    grace_days: int
    percent_a_day: float


@dataclass(frozen=True)
class Gpu:
    kind: str
    students_per_card: int
    cards_for_grading: int


@dataclass(frozen=True)
class Cluster:
    """What only Kubernetes needs to know.

    storage_class: of volumes that many nodes write (ReadWriteMany); exchange, homes, backups: sizes of such volumes
    releases: the git address of the tree that `torchgrade publish` writes, or ""
    """

    address: str
    student_image: str
    grader_image: str
    storage_class: str
    exchange: str
    homes: str
    backups: str
    releases: str = ""


@dataclass(frozen=True)
class ClassDescription:
    """gpu: None where no card is offered; cluster: None if class.toml describes none"""

    course: str
    machine: Machine
    limits: Limits
    idle: Idle
    gpu: Gpu | None
    people: tuple[Person, ...]
    cluster: Cluster | None = None

    @property
    def is_demonstration(self) -> bool:
        return self.machine.isolation is Isolation.NONE

    @property
    def grader(self) -> str:
        """The account that owns the gradebook; nobody logs in as it."""
        return f"grader-{self.course}"

    @property
    def students(self) -> list[str]:
        return [person.name for person in self.people if not person.role.is_staff]

    @property
    def staff(self) -> list[str]:
        return [person.name for person in self.people if person.role.is_staff]

    @property
    def instructors(self) -> list[str]:
        return [person.name for person in self.people if person.role is Role.INSTRUCTOR]
