"""The class as a file: what it says, what it refuses, and what becomes of it, all without a hub."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from jupyterhub import orm
from sqlalchemy.orm import Session
from torchgrade.errors import CourseError
from torchgrade.hub import access, gpu
from torchgrade.hub.class_file import read_class
from torchgrade.hub.description import ClassDescription, Gpu, Isolation, Role
from torchgrade.hub.passwords import give_passwords, is_right
from torchgrade.hub.place import Place
from torchgrade.hub.role_folders import Kind, lab_plugins, nbgrader_config, server_extensions
from torchgrade.hub.settings import Ports, settings
from torchgrade.hub.single_user import StartOfServers
from torchgrade.hub.sync import Changes, changes, sync_hub

ROOT = Path(__file__).parents[1]
REAL = 'isolation = "users"'
TLS = 'certificate = "/c.pem"\nkey = "/k.pem"'


def described(folder: Path, change: tuple[str, str] = ("", ""), roster: str = ROSTER_CSV) -> ClassDescription:
    return read_class(class_folder(folder, CLASS_TOML.replace(*change), roster))


def made(description: ClassDescription, as_root: bool = False):
    place = Place.of(Path("/srv/course"), description)
    return settings(description, place, as_root=as_root, grading_cards=())


def test_the_class_in_the_repository_can_be_read():
    description = read_class(ROOT / "hub_config")
    assert description.students == [f"student-0{number}" for number in (1, 2, 3, 4)]
    assert (description.staff, description.instructors) == (["instructor", "ta"], ["instructor"])
    assert description.is_demonstration and description.gpu is None
    assert description.machine.folder == ROOT / "build" / "hub"


def test_the_hub_and_the_course_agree_about_its_name():
    assert f'c.CourseDirectory.course_id = "{read_class(ROOT / "hub_config").course}"' in (
        ROOT / "nbgrader_config.py"
    ).read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("student-01,student,Ada,Again,", "student-01 is there already, in line 4. Give each person one line"),
        ("x,boss,,,", "there is no role 'boss'. Use one of student, ta, instructor."),
        ("Ada,student,,,", "'Ada' cannot be an id. Use a to z"),
        ("a+b,student,,,", "'a+b' cannot be an id."),
        ("../root,student,,,", "'../root' cannot be an id."),
        ("-rf,student,,,", "'-rf' cannot be an id."),
        (f"{'a' * 32},student,,,", "at most 31 characters"),
        ("grader-pytorch,student,,,", "is kept for the account that grades"),
        ("x,student,Ada", "3 fields in place of 5. Separate them by commas"),
        ('x,student,"Ada,,', "not CSV: unexpected end of data. Close the quotes"),
        ("x,student,A\x1b[2J,,", "holds characters that cannot be shown"),
        ("x,student,,,mail", "'mail' is no e-mail address"),
    ],
)
def test_a_bad_line_of_the_roster_is_named_with_its_number(tmp_path, line, said):
    number = len(ROSTER_CSV.splitlines()) + 1
    with pytest.raises(CourseError) as error:
        described(tmp_path, roster=f"{ROSTER_CSV}{line}\n")
    assert str(error.value).startswith(f"{tmp_path}/hub_config/roster.csv:{number}: ") and said in str(error.value)


@pytest.mark.parametrize(
    ("roster", "said"),
    [
        ("", "roster.csv:1: the first line is 'empty'. Write: id,role,first_name,last_name,email"),
        ("name,role\n", "the first line is 'name,role'"),
        ("id,role,first_name,last_name,email\nx,student,,,\n", "roster.csv: there is no instructor. Add a line"),
    ],
)
def test_a_roster_that_is_none_is_named(tmp_path, roster, said):
    with pytest.raises(CourseError) as error:
        described(tmp_path, roster=roster)
    assert said in str(error.value)


def test_a_roster_from_a_spreadsheet_is_read(tmp_path):
    text = "\ufeff" + ROSTER_CSV.replace("\n", "\r\n") + 'zoe,student,"Zoë, the 2nd",Ñandú,z@x.org\r\n,,,,\r\n\r\n'
    folder = class_folder(tmp_path, CLASS_TOML, "")
    (folder / "roster.csv").write_bytes(text.encode("utf8"))
    zoe = read_class(folder).people[-1]
    assert (zoe.name, zoe.role, zoe.first_name, zoe.last_name) == ("zoe", Role.STUDENT, "Zoë, the 2nd", "Ñandú")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('course = "pytorch"', 'course = "Py torch"', "class.toml:1: 'Py torch' cannot be a course."),
        ('course = "pytorch"', "", "class.toml: 'course' is missing. Give it a text in quotes."),
        ("cores = 2", "cores = 'two'", "class.toml:9: 'cores' of [limits] is 'two'. Give it a number."),
        ("cores = 2", "cores = 0", "'cores' of [limits] is 0.0. Give it 1 or more."),
        ("servers = 8", "servers = true", "'servers' of [limits] is True. Give it a whole number."),
        ("servers = 8", "server = 8", "class.toml:10: 'server' is not known in [limits]. There are: memory, cores"),
        ("[limits]", "[limit]", "class.toml:7: 'limit' is not known. There are: course, machine, limits, idle, gpu."),
        ('memory = "2G"', 'memory = "2GB"', "'2GB' is no amount of memory. Write it as 512M or 2G."),
        ("[idle]", "[idle", "not TOML: "),
        ('isolation = "none"', 'isolation = "some"', "there is no isolation 'some'. Use none or users."),
        ("hours = 12", 'hours = 12\n[gpu]\nkind = "TPU"', "there is no GPU of kind 'TPU'. Use one of T4, V100"),
        (
            "hours = 12",
            'hours = 12\n[gpu]\nkind = "T4"\nstudents_per_card = 9\ncards_for_grading = 0',
            "9 students do not fit on 16 GB. Give it 2 or less.",
        ),
        ("127.0.0.1:8000", "hub.example.org", "a demonstration isolates nobody and is not for hub.example.org"),
        ("http://127.0.0.1:8000", "127.0.0.1", "'127.0.0.1' is no address."),
        ("http://127.0.0.1:8000", "http://127.0.0.1:99999", "is no address."),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "http://hub.example.org"',
            "passwords would cross the network unencrypted. Use https.",
        ),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "https://hub.example.org"',
            "https and the certificate do not agree.",
        ),
        (
            'isolation = "none"\nfolder = "build/hub"\naddress = "http://127.0.0.1:8000"',
            f'{REAL}\nfolder = "/srv/hub"\naddress = "https://10.1.2.3"\nsubdomains = true\n{TLS}',
            "10.1.2.3 has no subdomains.",
        ),
    ],
)
def test_a_bad_class_is_named_with_its_line_and_the_remedy(tmp_path, old, new, said):
    assert old in CLASS_TOML
    with pytest.raises(CourseError) as error:
        described(tmp_path, (old, new))
    assert str(error.value).startswith(f"{tmp_path}/hub_config/class.toml") and said in str(error.value)


def test_roles_name_only_groups_and_services_that_exist(tmp_path):
    description = described(tmp_path)
    services = {service["name"] for service in made(description)["JupyterHub"]["services"]}
    for role in access.roles(description):
        assert set(role.get("groups", ())) <= set(access.groups(description))
        assert set(role.get("services", ())) <= services
        assert len(role["name"]) > 2  # JupyterHub ends at a shorter one


def test_students_have_no_role_and_teachers_are_no_admins(tmp_path):
    description = described(tmp_path)
    assert not [role for role in access.roles(description) if access.student_group("pytorch") in role.get("groups", ())]
    assert "admin_users" not in str(made(description))
    assert not [scope for role in access.roles(description) for scope in role["scopes"] if scope == "admin"]


def test_nobody_may_both_fill_a_group_and_enter_its_servers(tmp_path):
    for role in access.roles(described(tmp_path)):
        groups = {scope.split("!")[1] for scope in role["scopes"] if scope.startswith("groups!")}
        entered = {scope.split("!")[-1] for scope in role["scopes"] if scope.startswith("access:servers")}
        assert not groups & entered and "access:servers" not in role["scopes"]


def test_all_scopes_are_known_to_jupyterhub_and_old_enough_for_a_cluster(tmp_path):
    from jupyterhub.scopes import scope_definitions

    known = set(scope_definitions) - {"start:servers"}  # which JupyterHub 5 does not know
    used = [scope for role in access.roles(described(tmp_path)) for scope in role["scopes"]] + access.SERVER_SCOPES
    assert {scope.split("!")[0] for scope in used} <= known


def test_all_settings_are_traits_of_jupyterhub(tmp_path):
    from jupyterhub.app import JupyterHub
    from jupyterhub.proxy import ConfigurableHTTPProxy
    from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
    from systemdspawner import SystemdSpawner

    classes = {cls.__name__: cls for cls in (JupyterHub, ConfigurableHTTPProxy, SimpleLocalProcessSpawner, Spawner)}
    classes["SystemdSpawner"] = SystemdSpawner
    demonstration = described(tmp_path)
    for machine in (
        demonstration.machine,
        replace(demonstration.machine, isolation=Isolation.USERS, subdomains=True),
        replace(demonstration.machine, isolation=Isolation.USERS, spawner="systemd"),
    ):
        for name, traits in made(replace(demonstration, machine=machine)).items():
            assert set(traits) <= set(classes[name].class_trait_names(config=True)), name


def test_only_a_demonstration_may_run_servers_as_root(tmp_path):
    demonstration = described(tmp_path)
    real = replace(demonstration, machine=replace(demonstration.machine, isolation=Isolation.USERS))
    assert made(demonstration, as_root=True)["Spawner"]["args"] == ["--allow-root"]
    assert made(demonstration, as_root=False)["Spawner"]["args"] == []
    assert "--allow-root" not in str(made(real, as_root=True))
    assert made(real, as_root=True)["JupyterHub"]["services"][0]["user"] == "grader-pytorch"


def test_a_demonstration_says_so_on_every_page(tmp_path):
    demonstration = described(tmp_path)
    real = replace(demonstration, machine=replace(demonstration.machine, isolation=Isolation.USERS))
    assert "isolates nobody" in made(demonstration)["JupyterHub"]["template_vars"]["announcement"]
    assert "template_vars" not in made(real)["JupyterHub"]


def test_idle_servers_and_limits_come_from_the_class(tmp_path):
    hub = made(described(tmp_path))
    (culler,) = [service for service in hub["JupyterHub"]["services"] if service["name"] == "idle-culler"]
    assert culler["command"][-2:] == ["--timeout=3600", "--max-age=43200"]
    assert (hub["Spawner"]["mem_limit"], hub["Spawner"]["cpu_limit"]) == ("2G", 2.0)
    assert hub["JupyterHub"]["active_server_limit"] == 8


def test_only_the_public_port_is_privileged():
    assert Ports.of("https://hub.example.org") == Ports(443, 8001, 8002, 8003)
    assert Ports.of("http://127.0.0.1:9000") == Ports(9000, 9001, 9002, 9003)


def test_students_see_assignments_and_validate_only(tmp_path):
    shown = {name for name, off in lab_plugins(Kind.STUDENT)["disabledExtensions"].items() if not off}
    assert shown == {"@jupyter/nbgrader:assignment-list", "@jupyter/nbgrader:validate-assignment"}
    enabled = server_extensions(Kind.STUDENT)["ServerApp"]["jpserver_extensions"]
    assert {name.rsplit(".")[-1] for name, on in enabled.items() if on} == {"assignment_list", "validate_assignment"}


def test_with_unix_users_names_come_from_unix_and_are_checked(tmp_path):
    demonstration = described(tmp_path)
    real = replace(demonstration, machine=replace(demonstration.machine, isolation=Isolation.USERS))
    place = Place.of(Path("/srv/course"), real)
    for kind in Kind:
        assert "JUPYTERHUB_USER" not in nbgrader_config(real, place, kind)
        assert "check_owner" not in nbgrader_config(real, place, kind)
    assert "check_owner = False" in nbgrader_config(demonstration, place, Kind.GRADER)


@pytest.mark.parametrize(
    ("cards", "for_grading", "students", "grading"),
    [(0, 1, (), ()), (1, 0, (0,), ()), (1, 1, (), (0,)), (4, 1, (0, 1, 2), (3,)), (2, 5, (), (0, 1))],
)
def test_a_card_is_for_students_or_for_grading_never_both(cards, for_grading, students, grading):
    assert gpu.split(Gpu("T4", 2, for_grading), cards) == gpu.Cards(students, grading)


def test_a_gpu_is_offered_only_where_students_have_one():
    wanted = Gpu("T4", 2, 1)
    assert [profile.key for profile in gpu.profiles(wanted, gpu.split(wanted, 1))] == ["cpu"]
    assert [profile.key for profile in gpu.profiles(wanted, gpu.split(wanted, 2))] == ["cpu", "gpu"]
    assert [profile.key for profile in gpu.profiles(None, gpu.split(None, 8))] == ["cpu"]


def test_cards_fill_evenly_and_then_the_next_student_is_told():
    (_, profile) = gpu.profiles(Gpu("T4", 2, 0), gpu.Cards((0, 1)))
    in_use: list[int] = []
    for _ in range(4):
        in_use.append(gpu.card_for(profile, in_use, 2))
    assert in_use == [0, 1, 0, 1]
    with pytest.raises(CourseError, match="all 2 cards are in use"):
        gpu.card_for(profile, in_use, 2)


@pytest.fixture
def three_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartOfServers:
    """What a hub does where the driver lists three cards, of which one grades; the driver is a stand-in."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nfor n in 0 1 2; do echo GPU $n: Tesla T4; done\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    description = replace(described(tmp_path), gpu=Gpu("T4", 1, 1))
    cards = gpu.split(description.gpu, gpu.count_cards())
    place = Place.of(tmp_path, description)
    return StartOfServers(description, place, tmp_path / "hub_config" / "roster.csv", cards)


def starting(database: Session, name: str, options: dict[str, str]) -> SimpleNamespace:
    """As much of JupyterHub's spawner as the start of a server looks at, with a row in its real database."""
    row = orm.Spawner(user=orm.User(name=name), server=orm.Server(), user_options=options)
    database.add(row)
    database.commit()
    user = SimpleNamespace(name=name)
    return SimpleNamespace(user=user, environment={}, user_options=options, orm_spawner=row, db=database)


def test_students_share_cards_evenly_and_the_next_is_told_that_all_are_in_use(three_cards: StartOfServers):
    database = orm.new_session_factory("sqlite:///:memory:")()
    assert '<option value="gpu">GPU (T4, shared by 1)</option>' in three_cards.form()
    for name, expected in (("student-01", "0"), ("student-02", "1")):
        spawner = starting(database, name, three_cards.options({"profile": ["gpu"]}))
        three_cards.before(spawner)
        assert spawner.environment["CUDA_VISIBLE_DEVICES"] == expected
    third = starting(database, "ta", {"profile": "gpu"})
    with pytest.raises(CourseError) as error:
        three_cards.before(third)
    assert error.value.jupyterhub_message == (  # what the hub shows
        "all 2 cards are in use. Start with the CPU, or try again when a server stops."
    )
    on_the_cpu = starting(database, "instructor", three_cards.options({}))
    three_cards.before(on_the_cpu)
    assert on_the_cpu.environment["CUDA_VISIBLE_DEVICES"] == ""
    with pytest.raises(CourseError, match="there is no profile 'all'"):
        three_cards.before(starting(database, "student-03", {"profile": "all"}))


def test_the_formgrader_gets_the_card_that_grades(tmp_path):
    description = described(tmp_path)
    made = settings(description, Place.of(tmp_path, description), as_root=False, grading_cards=(2,))
    assert made["JupyterHub"]["services"][0]["environment"]["CUDA_VISIBLE_DEVICES"] == "2"


WANTED = {"students": {"ada", "ben"}, "staff": {"ines"}}


def test_a_hub_that_agrees_needs_no_change():
    assert changes(WANTED, {"ada", "ben", "ines", "stranger"}, WANTED) == Changes()


def test_changes_bring_any_hub_in_line_and_leave_strangers_alone():
    names = ["ada", "ines", "zoe"]
    subsets = [set(some) for count in range(4) for some in itertools.combinations(names, count)]
    for students, staff in itertools.product(subsets, subsets):
        users, members = {*students, *staff, "stranger"}, {"students": students, "staff": staff}
        todo = changes(WANTED, users, members)
        users = (users | todo.new) - todo.gone
        now = {name: (members[name] | todo.joins.get(name, set())) - todo.leaves.get(name, set()) for name in members}
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


def test_passwords_are_checked_and_not_kept_in_plain_text(tmp_path):
    path = tmp_path / "private" / "passwords"
    first = give_passwords(path, ["ada", "ben"])
    renewed = give_passwords(path, ["ben"])
    assert is_right(path, "ada", first["ada"]) and is_right(path, "ben", renewed["ben"])
    assert not is_right(path, "ben", first["ben"]) and not is_right(path, "ada", first["ben"])
    assert not is_right(path, "nobody", "") and not is_right(path, "ada", "\udc80")
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert not any(password in path.read_text() for password in [*first.values(), *renewed.values()])


def test_a_damaged_password_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "private" / "passwords"
    give_passwords(path, ["ada"])
    path.write_text(path.read_text() + "ben:zz\n")
    with pytest.raises(CourseError, match="passwords:2: this line is no password"):
        is_right(path, "ada", "x")
