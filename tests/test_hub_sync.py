"""The roster becomes true in a hub: every change that is needed, in the right order, and no other."""

import itertools
from pathlib import Path

from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from torchgrade.hub import access
from torchgrade.hub.class_file import read_class
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place
from torchgrade.hub.settings import settings
from torchgrade.hub.sync import Changes, changes, sync_hub


def described(folder: Path, change: tuple[str, str] = ("", ""), roster: str = ROSTER_CSV) -> ClassDescription:
    return read_class(class_folder(folder, CLASS_TOML.replace(*change), roster))


def made(description: ClassDescription, as_root: bool = False):
    place = Place.of(Path("/srv/course"), description)
    return settings(description, place, as_root=as_root, grading_cards=())


WANTED = {"students": {"ada", "ben"}, "staff": {"ines"}}


def test_a_hub_that_agrees_needs_no_change():
    assert changes(WANTED, {"ada", "ben", "ines", "stranger"}, WANTED) == Changes()


def test_changes_bring_any_hub_in_line_and_leave_strangers_alone():
    names = ["ada", "ines", "zoe"]
    subsets = [set(some) for count in range(4) for some in itertools.combinations(names, count)]
    for students, staff in itertools.product(subsets, subsets):
        users, members = {*students, *staff, "stranger"}, {"students": students, "staff": staff}
        due = changes(WANTED, users, members)
        users = (users | due.new) - due.gone
        now = {name: (members[name] | due.joins.get(name, set())) - due.leaves.get(name, set()) for name in members}
        assert now == WANTED and users >= {"ada", "ben", "ines", "stranger"} and "zoe" not in users


class HubInMemory:
    """Stands in for a hub's API, to see in which order it is asked; the real one is in test_hub_roles."""

    def __init__(self, users: set[str], groups: dict[str, set[str]]):
        self.people, self.groups, self.stopping = users, groups, 2
        self.asked: list[str] = []

    def users(self):
        return set(self.people)

    def add_users(self, names):
        self.people |= names

    def remove_user(self, name):
        self.asked.append(f"remove {name}")
        self.people.remove(name)

    def stop_server(self, name):
        self.asked.append(f"stop {name}")
        self.stopping -= 1
        return self.stopping <= 0

    def members(self, group):
        return set(self.groups[group])

    def add_members(self, group, names):
        assert names <= self.people, "the hub takes only users that it knows"
        self.groups[group] |= names

    def remove_members(self, group, names):
        self.groups[group] -= names


def test_syncing_twice_changes_nothing_and_says_nothing(tmp_path):
    description = described(tmp_path)
    hub = HubInMemory({"old"}, {name: {"old"} for name in access.groups(description)})
    said: list[str] = []
    sync_hub(description, hub, said.append)
    assert hub.asked == ["stop old", "stop old", "remove old"]  # a user with a server cannot be removed
    assert said[-1] == "hub: old is out: no log-in, no session, no server. Their files and grades stay."
    assert hub.groups == {name: set(group["users"]) for name, group in access.groups(description).items()}
    again: list[str] = []
    sync_hub(description, hub, again.append)
    assert again == []
