"""A pytest plug-in: a test of a lesson that passed here is skipped until something that it depends on changes.

Mark a test with `@pytest.mark.unchanged` and give it the parameter `lesson`. What counts is the content of the lesson,
of the code that runs, checks and judges it, of the locked environment, of the test's own file and of the machine.
`make test ARGS=--fresh` runs every test; so does a new machine.
"""

import ast
import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path("grader_env") / "torchgrade"
# What these make comes after a lesson is judged; tests/test_unchanged.py says who may import them.
APART = ("demo", "hub", "report")
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


def passed() -> Path:
    """Where an empty file stands for each test that passed, named by a hash."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchgrade" / "passed"


def _files(root: Path, places: Iterable[Path]) -> list[Path]:
    found = (path for place in places for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file())
    return sorted(path for path in set(found) if not LEFT_OUT.intersection(path.relative_to(root).parts))


def _digest(root: Path, paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _with_helpers(test: Path) -> set[Path]:
    """The file and the files beside it that it imports, and theirs."""
    found, left = set(), [test]
    while left:
        path = left.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            left += [test.parent / f"{name}.py" for name in names]
    return found


@cache
def _of_code(root: Path, test: Path) -> str:
    package = [path for path in (root / PACKAGE).iterdir() if path.name not in APART]
    others = [
        root / "nbgrader_config.py",
        root / "grader_env" / "requirements" / "lock.txt",
        test.parent / "conftest.py",
    ]
    return _digest(root, _files(root, [*package, *others, *_with_helpers(test)]))


@cache
def _of_lesson(root: Path, lesson: str) -> str:
    frames = (root / "source").glob("*.ipynb")
    own = [root / "source" / lesson, root / "release" / lesson, root / "tests" / "students" / f"{lesson}.ipynb"]
    return _digest(root, _files(root, [*own, *frames]))


def key(root: Path, test: Path, nodeid: str, lesson: str) -> str:
    """Changes with everything that the test depends on. test: its file"""
    machine = platform.platform(), sys.version, str(os.cpu_count())
    whole = "\n".join((nodeid, _of_code(root, test), _of_lesson(root, lesson), *machine))
    return hashlib.sha256(whole.encode()).hexdigest()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fresh", action="store_true", help="run tests of lessons that passed before, too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unchanged: skipped where it passed with the same content before")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("unchanged") and not config.getoption("--fresh") and _mark_of(item).exists():
            item.add_marker(pytest.mark.skip(reason="unchanged since it passed here (--fresh runs it)"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call" and report.passed and item.get_closest_marker("unchanged"):
        mark = _mark_of(item)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(f"{item.nodeid} {datetime.now(UTC):%Y-%m-%d %H:%M}\n", encoding="utf8")
    return report


def _mark_of(item: pytest.Item) -> Path:
    lesson = item.callspec.params["lesson"]  # type: ignore[attr-defined]
    return passed() / key(item.config.rootpath, item.path, item.nodeid.split("@")[0], lesson)
