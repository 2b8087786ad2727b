"""`make` from nothing: what a newcomer's machine can lack, and what setup then says and leaves behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "grader_env" / "requirements"

# Stands for an interpreter that this machine does not have. It makes a .venv whose python is a copy of itself, notes
# what pip is asked, and lets pip fail with the text of the file pip_error, if there is one.
STAND_IN = """#!/usr/bin/env bash
case "$*" in
*version_info*) echo {version} ;;
*ensurepip*) exit {no_venv} ;;
"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip"*) echo "$*" >>pip_calls && if [ -e pip_error ]; then cat pip_error; exit 1; fi ;;
esac
"""


class Clone:
    """A fresh copy of what setup needs."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("Makefile", "pyproject.toml", "grader_env/setup.sh", "grader_env/requirements/lock.txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)

    def stand_in(self, version: str = "3.11", no_venv: int = 0) -> str:
        path = self.root / "stand-in-python"
        path.write_text(STAND_IN.format(version=version, no_venv=no_venv))
        path.chmod(0o755)
        return str(path)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        # Tests run under `make test`: its variables must not reach the make that is tested.
        outside = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "TORCH_INDEX", "LESSON")}
        outside = {k: v for k, v in outside.items() if not k.startswith("MAKE")}
        command = command or ("grader_env/setup.sh",)
        return subprocess.run(command, cwd=self.root, env=outside | env, capture_output=True, text=True, timeout=60)

    def refuses(self, remedy: str, **env: str) -> None:
        """Setup stops with code 2 and one line that names the remedy, and does not look finished."""
        done = self.run(**env)
        assert done.returncode == 2, done
        (line,) = done.stderr.splitlines()
        assert line.startswith("setup: ") and remedy in line
        assert not self.finished

    @property
    def finished(self) -> bool:
        return (self.root / ".venv" / "setup-done").exists()

    @property
    def pip_calls(self) -> list[str]:
        calls = self.root / "pip_calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.10"])
def test_an_old_python_is_refused(clone: Clone, version: str):
    clone.refuses("make PYTHON=python3.11", PYTHON=clone.stand_in(version))
    assert not (clone.root / ".venv").exists()


def test_a_missing_python_is_named(clone: Clone):
    clone.refuses("no Python at 'python-that-is-not-there'. Install", PYTHON="python-that-is-not-there")


def test_a_python_without_venv_is_told_which_package_has_it(clone: Clone):
    clone.refuses("apt install python3.12-venv", PYTHON=clone.stand_in("3.12", no_venv=1))


def test_no_network_is_said_soon_and_in_one_line(clone: Clone):
    """The real pip in a real .venv; nothing listens at this address."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    clone.refuses(
        "Check the network", PYTHON=sys.executable, PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1", **nowhere
    )
    assert "Connection refused" in (clone.root / "build" / "setup.log").read_text()


@pytest.mark.parametrize(
    ("pip_says", "setup_says"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0", "No matching distribution found for torch==2.13.0"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ],
)
def test_a_failing_pip_is_quoted_in_one_line(clone: Clone, pip_says: str, setup_says: str):
    (clone.root / "pip_error").write_text(pip_says + "\n")
    clone.refuses(setup_says, PYTHON=clone.stand_in())


def test_an_unfinished_setup_is_finished_by_the_next_run(clone: Clone):
    (clone.root / "pip_error").write_text("ERROR: interrupted\n")
    clone.refuses("run make again", PYTHON=clone.stand_in())
    (clone.root / "pip_error").unlink()
    assert clone.run(PYTHON=clone.stand_in()).returncode == 0
    assert clone.finished


def test_a_second_run_does_nothing_and_says_nothing(clone: Clone):
    clone.run(PYTHON=clone.stand_in())
    calls = clone.pip_calls
    again = clone.run("make")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert clone.pip_calls == calls


def test_a_changed_lock_is_installed_without_losing_the_old_venv(clone: Clone):
    clone.run(PYTHON=clone.stand_in())
    before = len(clone.pip_calls)
    kept = clone.root / ".venv" / "kept"
    kept.touch()
    with (clone.root / "grader_env/requirements/lock.txt").open("a") as lock:
        lock.write("new-package==1.0\n")
    assert clone.run().returncode == 0
    assert len(clone.pip_calls) > before
    assert kept.exists()


def test_torch_comes_first_and_alone_from_an_index_of_its_own(clone: Clone):
    clone.run(PYTHON=clone.stand_in(), TORCH_INDEX="http://127.0.0.1:9/cpu")
    first, *others = clone.pip_calls
    assert first.endswith("--no-deps --index-url http://127.0.0.1:9/cpu torch==2.13.0")
    assert not any("--index-url" in call for call in others)


def test_make_passes_the_failure_on(clone: Clone):
    done = clone.run("make", "demo", "PYTHON=python-that-is-not-there")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if not line.startswith("make")] == [
        "setup: no Python at 'python-that-is-not-there'. "
        "Install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.11"
    ]


def test_make_release_names_the_lessons_there_are(clone: Clone):
    (clone.root / "source" / "01_a_lesson").mkdir(parents=True)
    done = clone.run("make", "release", "LESSON=02_typo", f"PYTHON={clone.stand_in()}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "release: no lesson source/02_typo. There are: 01_a_lesson"


def test_make_help_lists_every_target(clone: Clone):
    targets = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = [line.split()[1] for line in clone.run("make", "help").stdout.splitlines()]
    assert listed == targets
    assert "setup" in targets


@pytest.mark.xdist_group("groups")
def test_a_group_of_tests_stays_on_one_worker(request: pytest.FixtureRequest):
    """What xdist sorts by. A pytest that it does not fit ignores groups without a word, and starts each hub twice."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process: nothing is sorted (make test runs several)")
    assert request.node.nodeid.endswith("@groups")


def test_the_lock_pins_all_that_the_lists_ask_for():
    locked = {}
    for line in (REQUIREMENTS / "lock.txt").read_text().splitlines():
        if not line.startswith("#"):
            entry = Requirement(line)
            (pin,) = entry.specifier
            assert pin.operator == "==", line
            locked[entry.name] = pin.version
    for path in REQUIREMENTS.glob("*.in"):
        for line in path.read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                wanted = Requirement(line)
                assert locked[wanted.name] in wanted.specifier, line
    assert locked["torch"] == "2.13.0"
    assert not [name for name in locked if name.startswith(("nvidia-", "cuda-"))], "torch's CUDA build brings its own"
