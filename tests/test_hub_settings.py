"""What becomes of a class: roles, services, limits, cards and passwords, all without a hub."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from jupyterhub import orm
from sqlalchemy.orm import Session
from torchgrade.errors import CourseError
from torchgrade.hub import access, gpu
from torchgrade.hub.class_file import CLASS, read_class, read_late
from torchgrade.hub.description import ClassDescription, Gpu, Isolation, Late
from torchgrade.hub.passwords import give_passwords, is_right
from torchgrade.hub.place import Place
from torchgrade.hub.role_folders import Kind, lab_plugins, nbgrader_config, server_extensions, write_role_folders
from torchgrade.hub.settings import Ports, settings
from torchgrade.hub.single_user import StartOfServers


def described(folder: Path, change: tuple[str, str] = ("", ""), roster: str = ROSTER_CSV) -> ClassDescription:
    return read_class(class_folder(folder, CLASS_TOML.replace(*change), roster))


def made(description: ClassDescription, as_root: bool = False):
    place = Place.of(Path("/srv/course"), description)
    return settings(description, place, as_root=as_root, grading_cards=())


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


def test_slow_starts_are_waited_for(tmp_path):
    """JupyterHub itself ends when a service needs 30 s, and gives up a server after 60 s."""
    hub = made(described(tmp_path))
    assert hub["JupyterHub"]["services"][0]["timeout"] >= 120
    assert min(hub["Spawner"]["start_timeout"], hub["Spawner"]["http_timeout"]) >= 120


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


def test_the_grader_knows_what_lateness_costs_without_entering_hub_config(tmp_path):
    description = described(tmp_path, ("[idle]", "[late]\ngrace_days = 2\npercent_a_day = 5\n\n[idle]"))
    place = Place.of(tmp_path, description)
    write_role_folders(description, place)
    copy = place.jupyter / Kind.GRADER / CLASS
    assert read_late(copy) == Late(grace_days=2, percent_a_day=5.0)
    config = {kind: nbgrader_config(description, place, kind) for kind in Kind}
    assert f"c.DaysLate.class_file = {str(copy)!r}" in config[Kind.GRADER]
    assert all("class_file" not in config[kind] for kind in (Kind.STUDENT, Kind.STAFF))


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
