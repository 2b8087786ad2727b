"""The matrix of roles: for each call, what each kind of person and service is answered."""

from typing import Any

import pytest
from small_course import LESSON

SERVICE = "/services/pytorch"
FORMGRADER = f"{SERVICE}/formgrader"
LOGIN = "login"  # sent to the page where one logs in


def row(method: str, path: str, body: Any = None, **answers: int | str) -> Any:
    return pytest.param(method, path, body, answers, id=f"{method} {path}")


def members(name: str) -> Any:
    return {"users": [name]}


WITH_GROUPS = "/hub/api/groups/{}-pytorch"
STAFF_ONLY: dict[str, int | str] = {"student": 403, "ta": 200, "instructor": 200, "outsider": LOGIN}
NOBODY: dict[str, int | str] = {"student": 403, "ta": 403, "instructor": 403, "outsider": 403}
TOKENS_NO: dict[str, int | str] = {"formgrader": 403, "culler": 403, "own_server": 403}


ROWS = [
    # The formgrader, and everything that it serves from the course's folder.
    row("GET", f"{FORMGRADER}/manage_assignments", **STAFF_ONLY),
    row("GET", f"{FORMGRADER}/gradebook", **STAFF_ONLY),
    row("GET", f"{FORMGRADER}/api/assignments", **STAFF_ONLY),
    row("GET", f"{SERVICE}/lab", **STAFF_ONLY),
    row("GET", f"{SERVICE}/api/contents/gradebook.db", **{**STAFF_ONLY, "outsider": 403}),
    row("GET", f"{SERVICE}/files/source/{LESSON}/{LESSON}.ipynb", **STAFF_ONLY),
    row(
        "PUT",
        f"{FORMGRADER}/api/assignment/another",
        {"duedate_notimezone": None, "duedate_timezone": "+0000"},
        student=403,
        ta=200,
        instructor=200,
        outsider=403,
        own_server=403,
        sync=403,
    ),
    # People. Of somebody else there is nothing to see: 404, not 403.
    row("GET", "/hub/api/users/student-01", student=200, ta=404, instructor=200, outsider=403, own_server=200),
    row("GET", "/hub/api/users/student-02", student=404, ta=404, instructor=200, outsider=403, own_server=404),
    row("GET", "/hub/api/users", student=403, ta=403, instructor=200, outsider=403, culler=200, sync=200),
    row("POST", "/hub/api/users", {"usernames": ["new"]}, **NOBODY, **TOKENS_NO),
    row("PATCH", "/hub/api/users/student-01", {"admin": True}, **NOBODY, **TOKENS_NO),
    row("POST", "/hub/api/users/student-02/tokens", {}, **NOBODY, formgrader=403, culler=403, sync=403),
    row("GET", "/hub/admin", student=403, ta=403, instructor=200, outsider=LOGIN),
    row("GET", "/hub/metrics", **NOBODY),
    row("POST", "/hub/api/shutdown", {}, **NOBODY, **TOKENS_NO, sync=403),
    # The roster is the instructor's; nobody can make staff.
    row(
        "GET",
        WITH_GROUPS.format("nbgrader"),
        student=403,
        ta=403,
        instructor=200,
        outsider=403,
        own_server=403,
        formgrader=200,
        culler=403,
        sync=200,
    ),
    row(
        "POST",
        WITH_GROUPS.format("nbgrader") + "/users",
        members("student-03"),
        student=403,
        ta=403,
        instructor=200,
        outsider=403,
        own_server=403,
        formgrader=200,
        culler=403,
    ),
    *(
        row(
            "POST",
            WITH_GROUPS.format(group) + "/users",
            members("student-01"),
            student=403,
            ta=403,
            instructor=404,
            outsider=403,
            own_server=403,
            formgrader=404,
            culler=403,
        )
        for group in ("formgrade", "instructor")
    ),
    # Servers: one's own; the instructor starts and stops students' without looking into them.
    row("GET", "/user/student-01/lab", student=200, ta=403, instructor=403, outsider=LOGIN),
    row("GET", "/user/student-02/lab", student=403, ta=403, instructor=403, outsider=LOGIN),
    row("GET", f"/user/student-02/api/contents/{LESSON}", student=403, instructor=403, outsider=403),
    row("GET", "/user/student-02/api/status", own_server=403, formgrader=403, culler=403, sync=403),
    row("POST", "/hub/api/users/student-02/server", student=404, ta=404, instructor=400, formgrader=403),
    row("DELETE", "/hub/api/users/student-02/server", student=404, ta=404, outsider=403, formgrader=403),
    row("POST", "/hub/api/users/instructor/server", student=404, ta=404, formgrader=403, culler=403),
]
