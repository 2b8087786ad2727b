"""`torchgrade hub sync`: what roster.csv says becomes true in the gradebook and in the hub. A second run does nothing.

Who left loses the log-in, their sessions and their server; what they handed in and their grades stay.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torchgrade.errors import CourseError
from torchgrade.hub import access
from torchgrade.hub.class_file import read_class
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.hub_api import HubApi, NotRunning
from torchgrade.hub.place import Place
from torchgrade.hub.settings import Ports
from torchgrade.hub.unix import acting_as

Say = Callable[[str], None]
STOP_SECONDS = 60


class Hub(Protocol):
    """What the roster needs of a hub."""

    def users(self) -> set[str]: ...
    def add_users(self, names: set[str]) -> None: ...
    def remove_user(self, name: str) -> None: ...
    def stop_server(self, name: str) -> bool: ...
    def members(self, group: str) -> set[str]: ...
    def add_members(self, group: str, names: set[str]) -> None: ...
    def remove_members(self, group: str, names: set[str]) -> None: ...


@dataclass(frozen=True)
class Changes:
    """What must happen for the hub to agree with the roster; empty if it does."""

    new: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    joins: dict[str, set[str]] = field(default_factory=dict)  # by group
    leaves: dict[str, set[str]] = field(default_factory=dict)


def changes(wanted: Mapping[str, set[str]], users: set[str], members: Mapping[str, set[str]]) -> Changes:
    """wanted, members: people by group, as they should be and as they are; users: all whom the hub knows

    Only members of these groups are removed: the hub may know other people, for reasons of its own.
    """
    everybody = set().union(*wanted.values())
    return Changes(
        new=everybody - users,
        gone=set().union(*members.values()) - everybody,
        joins={group: names - members[group] for group, names in wanted.items() if names - members[group]},
        leaves={group: members[group] - names for group, names in wanted.items() if members[group] - names},
    )


def run(course: Path) -> int:
    description = read_class(course / "hub_config")
    place = Place.of(course, description)
    if not place.private.is_dir():
        raise CourseError("there is no hub yet.", where=place.folder, remedy="Run: make hub")
    said: list[str] = []
    sync(description, place, said.append)
    print("\n".join(said) or "The hub and the gradebook agree with the roster.")
    return 0


def sync(description: ClassDescription, place: Place, say: Say) -> None:
    """Raises CourseError if the hub or the gradebook refuses. `say` is called for every change."""
    sync_gradebook(description, place, say)
    if not place.sync_token.exists():
        return
    try:
        sync_hub(description, HubApi(Ports.of(description.machine.address).hub, place.sync_token.read_text()), say)
    except NotRunning:
        say("The hub is not running; it takes up the roster when it starts.")


def sync_hub(description: ClassDescription, hub: Hub, say: Say) -> None:
    wanted = {name: set(group["users"]) for name, group in access.groups(description).items()}
    due = changes(wanted, hub.users(), {group: hub.members(group) for group in wanted})
    if due.new:
        hub.add_users(due.new)
        say(f"hub: new: {_listed(due.new)}")
    for group, names in due.joins.items():
        hub.add_members(group, names)
        say(f"hub: {_listed(names)} joined {group}")
    for group, names in due.leaves.items():
        hub.remove_members(group, names)
        say(f"hub: {_listed(names)} left {group}")
    for name in sorted(due.gone):
        _stop(hub, name)
        hub.remove_user(name)
        say(f"hub: {name} is out: no log-in, no session, no server. Their files and grades stay.")


def sync_gradebook(description: ClassDescription, place: Place, say: Say) -> None:
    from torchgrade.demo.grading import Grading  # loads nbgrader

    if not place.course.is_dir():
        return
    students = {person.name: person for person in description.people if not person.role.is_staff}
    grader = None if description.is_demonstration else description.grader
    with acting_as(grader), Grading(place.course, lesson="").gradebook as gradebook:
        known = {student.id: student for student in gradebook.students}
        for name, person in students.items():
            fields = {"first_name": person.first_name, "last_name": person.last_name, "email": person.email}
            about = {key: value or None for key, value in fields.items()}
            if name not in known or any(getattr(known[name], key) != value for key, value in about.items()):
                gradebook.update_or_create_student(name, **about)
                say(f"gradebook: {name} {'changed' if name in known else 'added'}")


def _stop(hub: Hub, name: str) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not hub.stop_server(name):
        if time.monotonic() > deadline:
            raise CourseError(
                f"the server of {name} does not stop.", remedy="Stop it in the hub's admin page, then run this again."
            )
        time.sleep(0.5)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
