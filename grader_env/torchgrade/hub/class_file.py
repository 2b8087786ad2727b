"""Read class.toml, and the roster beside it. Every problem is named with its file and, where there is one, its line."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from torchgrade.errors import CourseError
from torchgrade.hub.cluster.class_table import CLUSTER_KEYS, read_cluster
from torchgrade.hub.description import ClassDescription, Gpu, Idle, Isolation, Late, Limits, Machine
from torchgrade.hub.gpu import KINDS
from torchgrade.hub.roster_file import read_roster

CLASS, ROSTER = "class.toml", "roster.csv"
COURSE = re.compile(r"[a-z][a-z0-9-]{2,20}")  # also a role of JupyterHub and, as grader-COURSE, a unix user
# table -> key -> (type, whether it must be there)
KEYS: Mapping[str, Mapping[str, tuple[type, bool]]] = {
    "machine": {
        "isolation": (str, True),
        "folder": (str, True),
        "address": (str, True),
        "spawner": (str, False),
        "certificate": (str, False),
        "key": (str, False),
        "subdomains": (bool, False),
    },
    "limits": {"memory": (str, True), "cores": (float, True), "servers": (int, True)},
    "idle": {"minutes": (int, True), "hours": (int, True)},
    "late": {"grace_days": (int, True), "percent_a_day": (float, True)},
    "gpu": {"kind": (str, True), "students_per_card": (int, True), "cards_for_grading": (int, True)},
}
TABLES = {**KEYS, "cluster": CLUSTER_KEYS}
WORDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def read_class(folder: Path) -> ClassDescription:
    """The class described in `folder` (hub_config). Raises CourseError for whatever cannot be one."""
    file = _File(folder / CLASS)
    file.require_known()
    _late(file)  # for whoever grades, which may be long after the hub was started
    course = file.value("", "course", str)
    if not COURSE.fullmatch(course):
        raise file.error("course", f"{course!r} cannot be a course.", "Use a to z, 0 to 9 and -, 3 to 21 characters.")
    return ClassDescription(
        course=course,
        machine=_machine(file, folder.parent),
        limits=_limits(file),
        idle=Idle(file.positive("idle", "minutes"), file.positive("idle", "hours")),
        gpu=_gpu(file) if "gpu" in file.tables else None,
        people=read_roster(folder / ROSTER),
        cluster=read_cluster(file) if "cluster" in file.tables else None,
    )


def read_late(path: Path) -> Late | None:
    """What lateness costs by this class.toml, None for nothing. Raises CourseError."""
    return _late(_File(path))


class _File:
    def __init__(self, path: Path):
        self.path = path
        try:
            self.text = path.read_text(encoding="utf8")
            self.tables: dict[str, Any] = tomllib.loads(self.text)
        except FileNotFoundError:
            raise CourseError("there is no class.", where=path, remedy="Restore it with git, or write one.") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CourseError(f"not TOML: {error}.", where=path, remedy="Mend this place.") from None

    def require_known(self) -> None:
        for name, content in self.tables.items():
            if name != "course" and name not in TABLES:
                known = f"There are: course, {', '.join(KEYS)}. For Kubernetes also: cluster."
                raise self.error(name, f"{name!r} is not known.", known)
            if name in TABLES and not isinstance(content, dict):
                raise self.error(name, f"{name!r} is no table.", f"Write [{name}].")
            for key in content if name in TABLES else ():
                if key not in TABLES[name]:
                    known = f"There are: {', '.join(TABLES[name])}."
                    raise self.error(key, f"{key!r} is not known in [{name}].", known)

    def value(self, table: str, key: str, kind: type, default: Any = None) -> Any:
        """default: of a key that may be missing"""
        content = self.tables.get(table, {}) if table else self.tables
        place = f"{key!r} of [{table}]" if table else repr(key)
        if key not in content:
            if default is not None:
                return default
            raise CourseError(f"{place} is missing.", where=self.path, remedy=f"Give it {WORDS[kind]}.")
        value = content[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(key, f"{place} is {value!r}.", f"Give it {WORDS[kind]}.")
        return value

    def positive(self, table: str, key: str, kind: type = int, least: int = 1) -> Any:
        value = self.value(table, key, kind)
        if value < least:
            raise self.error(key, f"{key!r} of [{table}] is {value}.", f"Give it {least} or more.")
        return value

    def error(self, key: str, what: str, remedy: str) -> CourseError:
        """where: the first line that sets `key` or begins the table of that name"""
        pattern = re.compile(rf"\s*(\[{re.escape(key)}\]|[\"']?{re.escape(key)}[\"']?\s*=)")
        lines = [number for number, line in enumerate(self.text.splitlines(), 1) if pattern.match(line)]
        return CourseError(what, where=f"{self.path}:{lines[0]}" if lines else self.path, remedy=remedy)


def _machine(file: _File, course: Path) -> Machine:
    given = {key: file.value("machine", key, kind) for key, (kind, needed) in KEYS["machine"].items() if needed}
    isolation = given["isolation"]
    if isolation not in list(Isolation):
        raise file.error("isolation", f"there is no isolation {isolation!r}.", f"Use {' or '.join(Isolation)}.")
    machine = Machine(
        isolation=Isolation(isolation),
        folder=course / given["folder"],
        address=given["address"].rstrip("/"),
        spawner=file.value("machine", "spawner", str, "local"),
        certificate=file.value("machine", "certificate", str, ""),
        key=file.value("machine", "key", str, ""),
        subdomains=file.value("machine", "subdomains", bool, False),
    )
    if machine.spawner not in ("local", "systemd"):
        raise file.error("spawner", f"there is no spawner {machine.spawner!r}.", "Use local or systemd.")
    _require_address(file, machine)
    return machine


def _require_address(file: _File, machine: Machine) -> None:
    try:
        address = urlsplit(machine.address)
        scheme, host, _ = address.scheme, address.hostname, address.port
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host or address.path or address.query or address.fragment:
        raise file.error(
            "address", f"{machine.address!r} is no address.", "Write http(s)://NAME:PORT, with nothing after it."
        )
    local = host in ("127.0.0.1", "localhost", "::1")
    if machine.isolation is Isolation.NONE and not local:
        raise file.error(
            "address", f"a demonstration isolates nobody and is not for {host}.", "Use http://127.0.0.1:PORT."
        )
    if scheme == "http" and not local:
        raise file.error("address", "passwords would cross the network unencrypted.", "Use https.")
    if bool(machine.certificate and machine.key) != (scheme == "https"):
        raise file.error(
            "address", f"{scheme} and the certificate do not agree.", "https needs certificate and key; http has none."
        )
    if machine.subdomains and (local or re.fullmatch(r"[\d.:]+", host)):
        raise file.error("subdomains", f"{host} has no subdomains.", "Use a name with a wildcard record in the DNS.")


def _limits(file: _File) -> Limits:
    memory = file.value("limits", "memory", str)
    if not re.fullmatch(r"[1-9][0-9]*[MG]", memory):
        raise file.error("memory", f"{memory!r} is no amount of memory.", "Write it as 512M or 2G.")
    return Limits(memory, file.positive("limits", "cores", float), file.positive("limits", "servers"))


def _late(file: _File) -> Late | None:
    if "late" not in file.tables:
        return None
    file.require_known()
    percent = file.value("late", "percent_a_day", float)
    if not 0 < percent <= 100:
        raise file.error(
            "percent_a_day", f"'percent_a_day' of [late] is {percent:g}.", "Give it more than 0, up to 100."
        )
    return Late(file.positive("late", "grace_days", least=0), percent)


def _gpu(file: _File) -> Gpu:
    kind = file.value("gpu", "kind", str)
    if kind not in KINDS:
        raise file.error("kind", f"there is no GPU of kind {kind!r}.", f"Use one of {', '.join(KINDS)}.")
    per_card = file.positive("gpu", "students_per_card")
    memory, most = KINDS[kind]
    if per_card > most:
        raise file.error(
            "students_per_card", f"{per_card} students do not fit on {memory} GB.", f"Give it {most} or less."
        )
    return Gpu(kind, per_card, file.positive("gpu", "cards_for_grading", least=0))
