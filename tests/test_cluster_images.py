"""The container files: linted, pinned, free of what students must not have; built where a builder runs (make soak)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from torchgrade.hub.cluster.layout import GID, HOME, UID

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "hub_config" / "cluster"
REQUIREMENTS = ROOT / "grader_env" / "requirements"
FILES = sorted(FOLDER.glob("*.Containerfile"))
BUILDERS = ("docker", "podman", "buildah")
EXACT = re.compile(r"python:3\.11\.\d+-slim-\w+")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def steps(path: Path) -> list[tuple[str, str]]:
    """(instruction, the rest) in order, lines that go on joined."""
    lines = [line for line in path.read_text(encoding="utf8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


def copied(path: Path) -> list[str]:
    return [source for name, rest in steps(path) if name == "COPY" for source in rest.split()[:-1]]


def builder() -> str:
    for name in BUILDERS:
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, timeout=60).returncode == 0:
            return name
    return ""


def test_there_is_an_image_for_students_and_one_for_the_grader():
    assert [path.stem for path in FILES] == ["grader", "student"]


@each_file
def test_the_linter_has_nothing_to_say(path: Path):
    done = subprocess.run([Path(sys.executable).parent / "hadolint", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_is_awake(tmp_path: Path):
    (tmp_path / "Containerfile").write_text("FROM python\nRUN pip install torch\n")
    done = subprocess.run([Path(sys.executable).parent / "hadolint", tmp_path / "Containerfile"], capture_output=True)
    assert done.returncode == 1 and b"DL3006" in done.stdout


@each_file
def test_what_is_copied_is_there(path: Path):
    assert [source for source in copied(path) if not (ROOT / source).exists()] == []
    assert len(copied(path)) >= 7


@each_file
def test_the_base_is_exact_and_nothing_runs_as_root(path: Path):
    found = dict(steps(path))  # the last of each
    assert [rest for name, rest in steps(path) if name == "FROM" and not EXACT.fullmatch(rest)] == []
    assert (found["USER"], found["WORKDIR"]) == (f"{UID}:{GID}", HOME)
    assert steps(path)[-1][0] == "CMD"


@each_file
def test_versions_are_those_of_make_setup_but_for_the_hubs(path: Path):
    locked = {Requirement(line).name for line in lines(REQUIREMENTS / "lock.txt")}
    wanted = [line for name in re.findall(r"-r (\S+)", path.read_text()) for line in lines(found(name))]
    unlocked = [line for line in wanted if Requirement(line).name not in locked]
    assert unlocked == ["nbgitpuller==1.3.0"]
    assert "jupyterhub==5.5.0" in wanted and "-c" in path.read_text()


def found(name: str) -> Path:
    """A list of requirements, by the name that it has in the image."""
    name = Path(name).name
    return FOLDER / name if (FOLDER / name).exists() else REQUIREMENTS / name


def lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf8")
    return [line for line in text.splitlines() if line and not line.startswith(("#", "-r"))]


def test_students_get_no_masters_no_tests_and_no_roster():
    (student,) = [path for path in FILES if path.stem == "student"]
    allowed = ("grader_env/torchgrade", "grader_env/requirements/", "hub_config/cluster/")
    files = {"pyproject.toml", "README.md", "LICENSE"}
    assert [source for source in copied(student) if source not in files and not source.startswith(allowed)] == []
    assert not list((ROOT / "grader_env" / "torchgrade").rglob("mistakes.py"))[1:], "one: the tool of that name"


@pytest.mark.soak
@each_file
def test_it_builds(path: Path):
    name = builder()
    if not name:
        pytest.skip(f"not built: none of {', '.join(BUILDERS)} runs here")
    command = [name, "build", "-f", str(path), "-t", f"torchgrade-{path.stem}:test", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-4000:]
