"""Jupyter's configuration for the three kinds of server: a student's, a staff member's, the formgrader.

A server gets one of these folders by JUPYTER_CONFIG_PATH. What it hides, it hides for the eye only: permissions hold
without it.
"""

import json
from enum import StrEnum
from pathlib import Path

from torchgrade.hub.class_file import CLASS
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place


class Kind(StrEnum):
    STUDENT = "student"
    STAFF = "staff"
    GRADER = "grader"


PARTS = ("assignment_list", "validate_assignment", "course_list", "create_assignment", "formgrader")
SHOWN = {
    Kind.STUDENT: {"assignment_list", "validate_assignment"},
    Kind.STAFF: {"assignment_list", "validate_assignment"},  # the formgrader is a page of its own
    Kind.GRADER: {"create_assignment", "validate_assignment", "formgrader"},
}
CONFIG = """\
# Made at each start of the hub.
import os

c = get_config()
c.CourseDirectory.course_id = {course!r}
c.Exchange.root = {exchange!r}
c.ExchangeFactory.submit = "torchgrade.hub.exchange.WholeSubmit"
c.ExchangeFactory.collect = "torchgrade.hub.exchange.OwnedCollect"
"""
ONE_UNIX_USER = """\
c.ExchangeCollect.check_owner = False  # a demonstration: one unix user owns everything
if {kind!r} != "grader":
    c.CourseDirectory.student_id = os.environ["JUPYTERHUB_USER"]
"""


FOR_THE_GRADER = """\
c.DaysLate.class_file = {class_file!r}  # a copy: hub_config/ is closed to the grader's account
"""


def write_role_folders(description: ClassDescription, place: Place) -> None:
    _write(place.jupyter / Kind.GRADER / CLASS, (place.hub_config / CLASS).read_text(encoding="utf8"))
    for kind in Kind:
        folder = place.jupyter / kind
        _write(folder / "nbgrader_config.py", nbgrader_config(description, place, kind))
        _write(folder / "jupyter_server_config.d" / "nbgrader.json", json.dumps(server_extensions(kind), indent=2))
        _write(folder / "labconfig" / "page_config.json", json.dumps(lab_plugins(kind), indent=2))


def nbgrader_config(description: ClassDescription, place: Place, kind: Kind) -> str:
    text = CONFIG.format(course=description.course, exchange=str(place.exchange))
    if kind is Kind.GRADER:
        text += FOR_THE_GRADER.format(class_file=str(place.jupyter / Kind.GRADER / CLASS))
    return text + ONE_UNIX_USER.format(kind=str(kind)) if description.is_demonstration else text


def server_extensions(kind: Kind) -> dict[str, object]:
    parts = [part for part in PARTS if part != "create_assignment"]  # which has no part on the server
    enabled = {f"nbgrader.server_extensions.{part}": part in SHOWN[kind] for part in parts}
    return {"ServerApp": {"jpserver_extensions": enabled}}


def lab_plugins(kind: Kind) -> dict[str, object]:
    disabled = {f"@jupyter/nbgrader:{part.replace('_', '-')}": part not in SHOWN[kind] for part in PARTS}
    disabled["@jupyterlab/apputils-extension:announcements"] = True  # asks everybody for leave to fetch news
    return {"disabledExtensions": disabled}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf8")
    for readable in (path, path.parent):
        readable.chmod(0o755 if readable.is_dir() else 0o644)  # by every student, whatever the umask
