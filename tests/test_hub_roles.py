"""Who may do what on a running hub: every role, everything allowed and everything forbidden, over HTTP."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hub_journey
import pytest
import requests
from hub_course import make_hub_course
from hub_matrix import FORMGRADER, LOGIN, ROWS, SERVICE
from running_hub import SECONDS, Person, RunningHub, running_hub
from small_course import LESSON, SECRET
from torchgrade.hub import proxy
from torchgrade.lessons.master import read_notebook

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("hub roles")]


class Token:
    """A service, or a person's own server, which has no browser."""

    def __init__(self, address: str, token: str):
        self.address, self.token = address, token

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, self.address + path, json=body, headers=headers, timeout=SECONDS)


@dataclass
class School:
    hub: RunningHub
    people: dict[str, Person | Token]

    def person(self, name: str) -> Person:
        found = self.people[name]
        assert isinstance(found, Person)
        return found

    def answer(self, who: str, method: str, path: str, body: Any) -> int | str:
        answer = self.people[who].call(method, path, body)
        return LOGIN if urlsplit(answer.url).path == "/hub/login" else answer.status_code


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    course = tmp_path_factory.mktemp("roles")
    with running_hub(course, make_hub_course(course, students=4, lesson=hub_journey.LESSON)) as hub:
        names = ("student-01", "student-02", "student-03", "ta", "instructor")
        logged_in = {name: hub.log_in(name) for name in names}
        with ThreadPoolExecutor() as starting:
            list(starting.map(Person.start_server, (logged_in["student-01"], logged_in["student-02"])))
        for name in ("ta", "instructor"):
            logged_in[name].get(f"{FORMGRADER}/manage_assignments")  # gives the token that its buttons send along
        people: dict[str, Person | Token] = {
            **logged_in,
            "outsider": Person(hub.address, "outsider"),
            "formgrader": Token(hub.address, hub.token_of(JUPYTERHUB_SERVICE_NAME="pytorch")),
            "culler": Token(hub.address, hub.token_of(JUPYTERHUB_SERVICE_NAME="idle-culler")),
            "sync": Token(hub.address, (hub.folder / "private" / "sync-token").read_text()),
            "own server": Token(hub.address, hub.token_of(JUPYTERHUB_USER="student-01")),
        }
        yield School(hub, people)


def test_a_lesson_goes_round_in_a_real_browser(school: School):
    """First, since its pictures show the course, and the other tests leave traces in it."""
    hub_journey.travel(school.hub)


@pytest.mark.parametrize(("method", "path", "body", "answers"), ROWS)
def test_matrix(school: School, method: str, path: str, body: Any, answers: dict[str, int | str]):
    names = {"student": "student-01", "own_server": "own server"}
    found = {who: school.answer(names.get(who, who), method, path, body) for who in answers}
    assert found == answers


def test_the_culler_may_stop_a_server_and_nothing_else(school: School):
    school.person("student-03").start_server()
    assert school.answer("culler", "DELETE", "/hub/api/users/student-03/server", None) in (202, 204)
    assert school.answer("culler", "DELETE", "/hub/api/users/student-03", None) == 403


@pytest.mark.parametrize("password", ["", "wrong"])
@pytest.mark.parametrize("name", ["student-01", "instructor", "nobody", "grader-pytorch", "../ta", ""])
def test_a_wrong_password_is_refused(school: School, name: str, password: str):
    person = Person(school.hub.address, name)
    assert person.log_in(password).status_code == 403
    assert person.call("GET", "/hub/api/user").status_code == 403


def test_a_request_from_another_site_is_refused(school: School):
    instructor = school.person("instructor")
    assert instructor.get(f"{FORMGRADER}/manage_assignments").status_code == 200
    path, body = f"{FORMGRADER}/api/assignment/forged", {"duedate_notimezone": None, "duedate_timezone": "+0000"}
    assert instructor.call("PUT", path, body, forged=True).status_code == 403
    assert instructor.call("PUT", path, body).status_code == 200


def test_a_token_in_an_address_opens_nothing(school: School):
    token = school.hub.token_of(JUPYTERHUB_USER="student-01")
    path = f"{school.hub.address}/user/student-01/api/status"
    assert requests.get(path, headers={"Authorization": f"token {token}"}, timeout=SECONDS).status_code == 200
    assert requests.get(f"{path}?token={token}", timeout=SECONDS).status_code == 403


def test_no_page_can_be_framed(school: School):
    for who, path in (("student-01", "/hub/home"), ("student-01", "/user/student-01/lab"), ("ta", FORMGRADER + "/")):
        policy = school.person(who).get(path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy


def test_every_page_of_the_hub_says_that_nobody_is_isolated(school: School):
    assert "isolates nobody" in school.person("student-01").get("/hub/home").text
    assert "isolates nobody" in school.hub.text


def test_staff_begin_at_the_formgrader_and_students_in_their_server(school: School):
    for name in ("instructor", "ta"):
        answer = school.person(name).get("/")
        assert urlsplit(answer.url).path == f"{FORMGRADER}/manage_assignments"
        assert "formgrader" in answer.text.lower()
    assert urlsplit(school.person("student-01").get("/").url).path == "/user/student-01/lab"


def test_the_formgraders_links_to_files_lead_to_them(school: School):
    answer = school.person("instructor").get(f"/tree/./source/{LESSON}")
    assert (answer.status_code, urlsplit(answer.url).path) == (200, f"{SERVICE}/lab/tree/source/{LESSON}")


def test_a_students_server_has_no_formgrader(school: School):
    student = school.person("student-01")
    assert student.get("/user/student-01/formgrader/manage_assignments").status_code == 404
    assert student.get("/user/student-01/assignments", params={"course_id": "pytorch"}).status_code == 200


def test_work_goes_round_and_the_button_grades_with_the_courses_engine(school: School):
    student, staff = school.person("student-01"), school.person("ta")
    student.assignments("fetch", LESSON)
    home = school.hub.folder / "homes" / "student-01"
    assert SECRET not in (home / LESSON / f"{LESSON}.ipynb").read_text(encoding="utf8")
    student.assignments("submit", LESSON)
    for button in (f"assignment/{LESSON}/collect", f"submission/{LESSON}/student-01/autograde"):
        answer = staff.call("POST", f"{FORMGRADER}/api/{button}")
        assert answer.json()["success"], answer.text
    graded = school.hub.folder / "course" / "autograded" / "student-01" / LESSON / f"{LESSON}.ipynb"
    assert read_notebook(graded).metadata["torchgrade_result"]  # nbgrader's own leaves no such mark
    for button in ("generate_feedback", "release_feedback"):
        answer = staff.call("POST", f"{FORMGRADER}/api/assignment/{LESSON}/{button}")
        assert answer.json()["success"], answer.text
    found = student.assignments("fetch_feedback", LESSON)["value"]
    (submission,) = next(entry["submissions"] for entry in found if entry["status"] == "submitted")
    page = (home / submission["local_feedback_path"] / f"{LESSON}.html").read_text(encoding="utf8")
    assert "<strong>0</strong> of 8 points" in page and SECRET not in page
    again = school.hub.torchgrade("autograde", LESSON, course=school.hub.folder / "course")
    assert again.returncode == 0 and "1 unchanged" in again.stdout, again.stdout + again.stderr


def test_who_leaves_is_out_at_once_and_keeps_their_grades(school: School):
    roster = school.hub.course / "hub_config" / "roster.csv"
    before = roster.read_text(encoding="utf8")
    leaving, line = school.person("student-02"), "student-02,student,First2,Last2,\n"
    assert leaving.get("/user/student-02/api/status").status_code == 200
    try:
        roster.write_text(before.replace(line, "student-05,student,New,Comer,\n"), encoding="utf8")
        done = school.hub.torchgrade("hub", "sync")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "gradebook: student-05 added",
            "hub: new: student-05",
            "hub: student-05 joined nbgrader-pytorch",
            "hub: student-02 left nbgrader-pytorch",
            "hub: student-02 is out: no log-in, no session, no server. Their files and grades stay.",
        ]
        assert leaving.call("GET", "/hub/api/user").status_code == 403
        assert school.answer("student-02", "GET", "/user/student-02/lab", None) == LOGIN
        with pytest.raises(AssertionError, match="no process with"):
            school.hub.token_of(JUPYTERHUB_USER="student-02")
        assert leaving.log_in(school.hub.passwords["student-02"]).status_code == 403
        again = school.hub.torchgrade("hub", "sync")
        assert again.stdout == "The hub and the gradebook agree with the roster.\n"
        assert {"student-01", "student-02", "student-03", "student-04", "student-05"} == students_in(school.hub)
    finally:
        roster.write_text(before, encoding="utf8")
        assert school.hub.torchgrade("hub", "sync").returncode == 0
    assert school.hub.log_in("student-02").call("GET", "/hub/api/user").status_code == 200


def students_in(hub: RunningHub) -> set[str]:
    with sqlite3.connect(hub.folder / "course" / "gradebook.db") as gradebook:
        return {name for (name,) in gradebook.execute("SELECT id FROM student")}


def test_a_bad_roster_changes_nothing_and_lets_nobody_else_in(school: School):
    roster = school.hub.course / "hub_config" / "roster.csv"
    before = roster.read_text(encoding="utf8")
    try:
        roster.write_text(before + "student-01,ta,Twice,There,\n", encoding="utf8")
        done = school.hub.torchgrade("hub", "sync")
        assert (done.returncode, done.stdout) == (2, "")
        assert "student-01 is there already, in line 4" in done.stderr and done.stderr.count("\n") == 1
        assert Person(school.hub.address, "ta").log_in(school.hub.passwords["ta"]).status_code == 403
    finally:
        roster.write_text(before, encoding="utf8")
    assert school.hub.log_in("ta")


def test_a_taken_port_is_named(school: School):
    done = school.hub.torchgrade("hub", "serve")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert "address already in use. Is a hub running already?" in done.stderr


def test_a_proxy_that_cannot_be_installed_is_named(school: School, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(proxy, "_folder", lambda: tmp_path / "proxy")
    with pytest.raises(proxy.CourseError, match=r"the proxy is not installed\. Run: torchgrade hub serve"):
        proxy.command(school.hub.course)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(proxy.CourseError, match=r"npm could not install the proxy \(.*ECONNREFUSED.*Check the network"):
        proxy.install(school.hub.course)
    assert not (tmp_path / "proxy").exists()
