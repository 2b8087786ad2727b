"""The students' part of lock.txt: what student.in names, and all that those packages need in turn.

Which package needs which is read from the installed packages, so it works without a network.
"""

from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from torchgrade.errors import CourseError

# Markers are judged for every Python the course serves, so that the file is the same wherever it is made.
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python in ("3.11", "3.12", "3.13")
]


def pinned(folder: Path) -> list[str]:
    """The lines of lock.txt in `folder` that its student.in needs, sorted as there."""
    wanted, locked = _lines(folder / "student.in"), _lines(folder / "lock.txt")
    lock = {canonicalize_name(requirement.name): line for line, requirement in locked.items()}
    needed: set[tuple[str, str]] = set()
    waiting: list[tuple[str, str]] = [
        (canonicalize_name(need.name), extra) for need in wanted.values() for extra in ("", *need.extras)
    ]
    if missing := sorted({name for name, _ in waiting} - lock.keys()):
        raise CourseError(f"lock.txt lacks {', '.join(missing)}.", where=folder / "lock.txt", remedy="Run: make lock")
    while waiting:
        name, extra = waiting.pop()
        if name in lock and (name, extra) not in needed:  # CUDA's libraries are torch's own business: not in the lock
            needed.add((name, extra))
            waiting += _needs(name, extra)
    names = {name for name, _ in needed}
    return [line for name, line in lock.items() if name in names]


def _needs(name: str, extra: str) -> list[tuple[str, str]]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []  # a package for other machines
    return [
        (canonicalize_name(need.name), also)
        for need in map(Requirement, lines)
        if need.marker is None or any(need.marker.evaluate({**here, "extra": extra}) for here in ENVIRONMENTS)
        for also in ("", *need.extras)
    ]


def _lines(path: Path) -> dict[str, Requirement]:
    if not path.is_file():
        raise CourseError("there is no such file.", where=path, remedy="Restore it with git.")
    lines = [line.strip() for line in path.read_text(encoding="utf8").splitlines()]
    try:
        return {line: Requirement(line) for line in lines if line and not line.startswith("#")}
    except InvalidRequirement as error:
        raise CourseError(f"not a requirement: {str(error).splitlines()[0]}.", where=path, remedy="Mend it.") from error
