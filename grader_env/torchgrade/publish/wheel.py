"""The students' `torchgrade`: the modules that notebooks import, in a wheel; no graders, no author's tools.

Its version carries a hash of its content, since pip takes an equal version for the same package and would not install
the corrected one over it. Equal content makes equal bytes.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.lessons.master import read_master

PARTS = ("__init__.py", "caps.py", "errors.py", "check", "plots.py", "progress", "triton_lab")
IMPORTED = re.compile(r"^\s*(?:from|import)\s+torchgrade(?:\.(\w+)|\s+import\s+\(?([\w, ]+))", re.MULTILINE)
TABLES = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "torchgrade"
version = {version}
description = "The checks of the PyTorch course's notebooks."
license = "MIT"
requires-python = {python}
dependencies = {dependencies}

[tool.setuptools.packages.find]
include = ["torchgrade*"]

[tool.setuptools.package-data]
"torchgrade.progress" = ["*.json"]
"""


def build_wheel(course: Path, lessons: list[str], folder: Path) -> str:
    """Write the wheel into `folder` and return its name."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)  # a fresh folder: setuptools would pack what an earlier build left behind
        _copy_parts(course / "grader_env" / "torchgrade", project / "torchgrade")
        _require_imports(course, lessons, project / "torchgrade")
        (project / "pyproject.toml").write_text(_pyproject(course, project / "torchgrade"), encoding="utf8")
        (project / "wheel").mkdir()
        done = subprocess.run(  # what `pip wheel --no-build-isolation` runs; it needs no network
            [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('wheel')"],
            cwd=project,
            env={**os.environ, "SOURCE_DATE_EPOCH": "946684800"},  # 2000: one time for all files
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list((project / "wheel").glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            said = done.stderr.strip().splitlines()
            raise CourseError(f"the wheel cannot be built: {said[-1] if said else 'no reason given'}.", where=course)
        shutil.copyfile(wheels[0], folder / wheels[0].name)
        return wheels[0].name


def _copy_parts(package: Path, to: Path) -> None:
    to.mkdir()
    for part in PARTS:
        if (package / part).is_dir():
            shutil.copytree(package / part, to / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        elif (package / part).is_file():
            shutil.copyfile(package / part, to / part)
    for path in to.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the wheel records it


def _require_imports(course: Path, lessons: list[str], package: Path) -> None:
    """What the lessons import from torchgrade must be in the wheel."""
    given = {path.stem for path in package.iterdir()}
    for lesson in lessons:
        for cell in read_master(course, lesson).code_cells:
            for module, names in IMPORTED.findall(cell.source):
                for name in (part.split()[0] for part in (module or names).split(",") if part.strip()):
                    if name not in given:
                        raise CourseError(
                            f"it imports torchgrade's {name!r}, which students do not get.",
                            where=course / "source" / lesson,
                            remedy="Add it to PARTS in torchgrade/publish/wheel.py if it may be seen.",
                        )


def _pyproject(course: Path, package: Path) -> str:
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf8"))["project"]
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    digest.update(json.dumps([project["dependencies"], project["requires-python"]]).encode())
    return TABLES.format(
        version=json.dumps(f"{project['version']}+h{digest.hexdigest()[:8]}"),
        python=json.dumps(project["requires-python"]),
        dependencies=json.dumps(project["dependencies"]),
    )
