"""`torchgrade hub serve`: make what is missing, start JupyterHub, say who can log in, and end what was started."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from torchgrade.errors import CourseError
from torchgrade.hub import prepare, proxy
from torchgrade.hub.class_file import CLASS, read_class
from torchgrade.hub.course_folder import make_course_folder, release_all
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.hub_api import is_served
from torchgrade.hub.passwords import give_passwords, names_with_password
from torchgrade.hub.place import Place
from torchgrade.hub.role_folders import write_role_folders
from torchgrade.hub.running import no_other_hub
from torchgrade.hub.settings import ISOLATES_NOBODY, PROGRAMS, SERVICE_SECONDS, Ports
from torchgrade.hub.sync import sync

START_SECONDS = 2 * SERVICE_SECONDS
END_SECONDS = 30
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def run(course: Path) -> int:
    """Returns 0 when it was told to end, by Ctrl-C for instance."""
    description = read_class(course / "hub_config")
    place = Place.of(course, description)
    _require_free_ports(course, description)
    proxy.install(place.installation)
    if not description.is_demonstration:
        _require_real_use(description, place)
    with no_other_hub(place):
        passwords = _make_demonstration(description, place) if description.is_demonstration else {}
        with _told_to_end() as told, _hub(description, place) as hub:
            if not _wait_until_up(hub, description, place, told):
                return 0
            sync(description, place, print)
            _say_who_and_where(description, passwords)
            while not told and hub.poll() is None:
                time.sleep(0.2)
            if not told:
                raise _ended_by_itself(hub, place)
    return 0


def _make_demonstration(description: ClassDescription, place: Place) -> dict[str, str]:
    write_role_folders(description, place)
    place.homes.mkdir(exist_ok=True)
    (place.homes / description.grader).mkdir(exist_ok=True)
    make_course_folder(place)
    release_all(description, place, lambda what: print(f"hub: {what}", flush=True))
    return give_passwords(place.passwords, [person.name for person in description.people])


def _require_real_use(description: ClassDescription, place: Place) -> None:
    if os.geteuid() != 0:
        raise CourseError("servers of other unix users are started by root.", remedy="Run it with sudo.")
    for path in filter(None, (description.machine.certificate, description.machine.key)):
        if not os.access(path, os.R_OK):
            raise CourseError("this file cannot be read.", where=path, remedy=f"Correct {CLASS}, or put it there.")
    prepare.require_prepared(description, place)
    if missing := {person.name for person in description.people} - names_with_password(place.passwords):
        print(f"hub: without a password: {', '.join(sorted(missing))}. Give them one: torchgrade hub passwords")


def _require_free_ports(course: Path, description: ClassDescription) -> None:
    ports = Ports.of(description.machine.address)
    for port in (ports.public, ports.proxy_api, ports.hub, ports.formgrader):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError as error:
                raise CourseError(
                    f"port {port}: {(error.strerror or str(error)).lower()}.",
                    where=course / "hub_config" / CLASS,
                    remedy="Is a hub running already? Else change the port of address; the next three are used, too.",
                ) from None


@contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """A list that is empty until a signal asks us to end."""
    told: list[int] = []
    before = {number: signal.signal(number, lambda number, _: told.append(number)) for number in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _hub(description: ClassDescription, place: Place) -> "Iterator[subprocess.Popen[bytes]]":
    """JupyterHub, in a session of its own: Ctrl-C reaches us, and we end it in order."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent becomes ours, so that we can end it, too
    config = place.hub_config / "jupyterhub_config.py"
    with open(place.log, "ab") as log:
        hub = subprocess.Popen(
            [PROGRAMS / "jupyterhub", "--config", config],
            cwd=place.private,
            env={**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    try:
        yield hub
    finally:
        print("hub: ending", flush=True)
        _end(hub, but_not_of=set() if description.is_demonstration else {person.name for person in description.people})


def _end(hub: "subprocess.Popen[bytes]", *, but_not_of: set[str]) -> None:
    """End all that was started, but for servers of these unix users, which the next hub takes over."""
    if hub.poll() is None:
        hub.terminate()  # it ends its services and its proxy, and in a demonstration its servers
        try:
            hub.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            hub.kill()
            hub.wait()
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        left = [process for process in psutil.Process().children(recursive=True) if not _is_of(process, but_not_of)]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)
        psutil.wait_procs(left, timeout=5)


def _is_of(process: psutil.Process, users: set[str]) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.username() in users
    return True  # it has ended


def _wait_until_up(
    hub: "subprocess.Popen[bytes]", description: ClassDescription, place: Place, told: list[int]
) -> bool:
    """False if we are told to end meanwhile."""
    deadline = time.monotonic() + START_SECONDS
    while not is_served(description.machine.address):
        if told:
            return False
        if hub.poll() is not None:
            raise _ended_by_itself(hub, place)
        if time.monotonic() > deadline:
            raise CourseError(f"the hub is not up after {START_SECONDS} s.", where=place.log, remedy="Read its log.")
        time.sleep(0.3)
    return True


def _ended_by_itself(hub: "subprocess.Popen[bytes]", place: Place) -> CourseError:
    lines = place.log.read_text(encoding="utf8", errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith("hub: ") or " C " in line[:4]), lines[-1])
    return CourseError(f"JupyterHub ended with {hub.returncode}: {said[:300]}", where=place.log, remedy="Read its log.")


def _say_who_and_where(description: ClassDescription, passwords: dict[str, str]) -> None:
    address = description.machine.address
    if description.is_demonstration:
        print(f"\n{'*' * 100}\n{ISOLATES_NOBODY}\n{'*' * 100}")
    print(f"\n{description.course}: {address}\n")
    for person in description.people if passwords else ():
        print(f"  {person.role:<11} {person.name:<14} {passwords[person.name]}")
    print(f"\nStaff begin at {address}/services/{description.course}/formgrader/manage_assignments")
    print(f"Students begin in their own server; staff find theirs at {address}/hub/home")
    print("Ctrl-C ends the hub" + (" and all it started." if description.is_demonstration else "."), flush=True)
