"""A real hub for tests: `torchgrade hub serve` in a course of its own, and people who log in to it over HTTP."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

TORCHGRADE = [sys.executable, "-m", "torchgrade.cli"]
SECONDS = 300  # for anything: the machine may be busy


class RunningHub:
    """`passwords` are those that the command printed; `said` is all that it printed."""

    def __init__(self, course: Path, address: str):
        self.course, self.address = course, address
        self.folder = course / "build" / "hub"
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [*TORCHGRADE, "hub", "serve"],
            cwd=course,
            env={**os.environ, "PATH": "/usr/bin:/bin"},  # as from a fresh shell: nothing is activated
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._up.wait(SECONDS) and self.process.poll() is None, self.text
        self.passwords = dict(re.findall(r"^  \w+ +(\S+) +(\S+)$", self.text, flags=re.MULTILINE))

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def servers(self) -> list[psutil.Process]:
        """People's, and the formgrader."""
        found = []
        for process in self.descendants:
            with contextlib.suppress(psutil.Error):  # it may end while we look
                if "jupyterhub-singleuser" in " ".join(process.cmdline()[:2]):
                    found.append(process)
        return found

    def log_in(self, name: str) -> "Person":
        person = Person(self.address, name)
        answer = person.log_in(self.passwords[name])
        assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.url}"
        return person

    def torchgrade(self, *arguments: str, course: Path | None = None) -> subprocess.CompletedProcess[str]:
        """course: the folder to run in, if not that of the hub's own configuration"""
        return subprocess.run(
            [*TORCHGRADE, *arguments], cwd=course or self.course, capture_output=True, text=True, timeout=SECONDS
        )

    def token_of(self, **environment: str) -> str:
        """The hub's token of the service or server whose process has this in its environment."""
        for process in self.descendants:
            try:
                found = process.environ()
            except psutil.Error:
                continue
            if found.items() >= environment.items() and found.get("JUPYTERHUB_API_TOKEN"):
                return found["JUPYTERHUB_API_TOKEN"]
        raise AssertionError(f"no process with {environment}")

    def end(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(SECONDS)
        self._reader.join(SECONDS)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Ctrl-C ends"):
                self._up.set()
        self._up.set()


@contextmanager
def running_hub(course: Path, port: int) -> Iterator[RunningHub]:
    hub = RunningHub(course, f"http://127.0.0.1:{port}")
    try:
        yield hub
    finally:
        if hub.process.poll() is None:
            hub.end()


class Person:
    """Somebody with a browser, as far as HTTP goes: cookies, redirects, and the tokens against forged requests."""

    def __init__(self, address: str, name: str):
        self.address, self.name = address, name
        self.session = requests.Session()
        self.session.trust_env = False

    def log_in(self, password: str) -> requests.Response:
        self.get("/hub/login")
        form = {"username": self.name, "password": password, "_xsrf": self._xsrf("/hub/")}
        # To the hub's home: the first page of a student would start a server.
        return self.session.post(f"{self.address}/hub/login?next=/hub/home", data=form, timeout=SECONDS)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.address + path, timeout=SECONDS, **more)

    def call(self, method: str, path: str, body: Any = None, *, forged: bool = False) -> requests.Response:
        """forged: as from another site, without the token that only our own pages know"""
        headers = {} if forged else {"X-XSRFToken": self._xsrf(path)}
        headers["Referer"] = self.address + "/hub/home"  # the hub answers API calls from its own pages only
        return self.session.request(method, self.address + path, json=body, headers=headers, timeout=SECONDS)

    def start_server(self) -> None:
        assert self.call("POST", f"/hub/api/users/{self.name}/server").status_code in (201, 202)
        answer = self.get(f"/hub/api/users/{self.name}/server/progress", headers={"Referer": self.address + "/hub/"})
        assert '"ready": true' in answer.text, answer.text
        assert self.get(f"/user/{self.name}/lab").status_code == 200  # logs in there, too

    def assignments(self, action: str = "", lesson: str = "") -> dict[str, Any]:
        """What the assignment list shows, after doing `action` (fetch, submit, fetch_feedback)."""
        base, course = f"/user/{self.name}/assignments", {"course_id": "pytorch"}
        if action:
            answer = self.call("POST", f"{base}/{action}", {**course, "assignment_id": lesson})
        else:
            answer = self.get(base, params=course)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _xsrf(self, path: str) -> str:
        """The token of the part of the site that `path` belongs to: the longest cookie path that fits."""
        tokens = [cookie for cookie in self.session.cookies if cookie.name == "_xsrf" and path.startswith(cookie.path)]
        return max(tokens, key=lambda cookie: len(cookie.path)).value or "" if tokens else ""
