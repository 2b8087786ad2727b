"""A throw-away course with a hub: the sample class, or another, in a folder of its own."""

import shutil
import socket
from pathlib import Path

from small_course import make_course

ROOT = Path(__file__).parents[1]
CLAIMS: list[socket.socket] = []  # for the life of this process
CLASS_TOML = """\
course = "pytorch"

[machine]
isolation = "none"
folder = "build/hub"
address = "http://127.0.0.1:8000"
[limits]
memory = "2G"
cores = 2
servers = 8

[idle]
minutes = 60
hours = 12
"""
ROSTER_CSV = """\
id,role,first_name,last_name,email
instructor,instructor,Ines,Instructor,
ta,ta,Tariq,Assistant,
student-01,student,Ada,Example,
student-02,student,Ben,Example,
"""


def class_folder(root: Path, toml: str, roster: str) -> Path:
    """`root`/hub_config with these files and what else the hub needs there."""
    folder = root / "hub_config"
    folder.mkdir(parents=True)
    for name in ("jupyterhub_config.py", "package.json", "package-lock.json"):
        shutil.copy(ROOT / "hub_config" / name, folder)
    (folder / "class.toml").write_text(toml, encoding="utf8")
    (folder / "roster.csv").write_text(roster, encoding="utf8")
    return folder


def free_ports() -> int:
    """The first of four free ports in a row, which no other test of this machine is given while this process lives.

    They lie below the ports that the kernel hands out, so that no server or browser happens to get one.
    """
    for first in range(20_000, 32_000, 4):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0torchgrade tests, port {first}")  # no file: the name is free again when the process ends
        except OSError:
            continue
        if all(_is_free(port) for port in range(first, first + 4)):
            CLAIMS.append(claim)
            return first
    raise AssertionError("no four free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def make_hub_course(root: Path, students: int = 3, servers: int = 8, lesson: str = "") -> int:
    """A course with the small lesson and a hub; returns the hub's port. lesson: one of this repository, too"""
    make_course(root)
    if lesson:
        shutil.copytree(ROOT / "source" / lesson, root / "source" / lesson)
        for frame in (ROOT / "source").glob("*.ipynb"):
            shutil.copy(frame, root / "source")
        config = root / "nbgrader_config.py"
        config.write_text(config.read_text().replace("c.Execute.timeout = 3\n", ""))  # enough for the small one only
    port = free_ports()
    roster = ROSTER_CSV.splitlines(keepends=True)[:3]
    roster += [f"student-{number:02d},student,First{number},Last{number},\n" for number in range(1, students + 1)]
    toml = CLASS_TOML.replace(":8000", f":{port}").replace("servers = 8", f"servers = {servers}")
    class_folder(root, toml, "".join(roster))
    return port
