"""nbgrader's own steps from a master to exported grades, in one process."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log, temp_attrs
from traitlets.config.loader import PyFileConfigLoader

from torchgrade.errors import CourseError
from torchgrade.report.table import GradesCsv


class Grading:
    """The steps for one lesson in the course root `root`. A step that fails raises a CourseError with its reason."""

    def __init__(self, root: Path, lesson: str):
        self.root, self.lesson = root, lesson
        self._config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
        self._coursedir = CourseDirectory(config=self._config, root=str(root))
        self._api = NbGraderAPI(self._coursedir, config=self._config)
        self._log = root / "nbgrader.log"

    @property
    def gradebook(self) -> Gradebook:
        return self._api.gradebook

    def generate(self) -> None:
        self._step("generate_assignment", lambda: self._api.generate_assignment(self.lesson))

    def release(self) -> None:
        self._step("release_assignment", lambda: self._api.release_assignment(self.lesson))

    def submit(self, student: str, home: Path) -> None:
        """Submit the lesson's folder in `home` as `student`."""
        with temp_attrs(self._coursedir, student_id=student, assignment_id=self.lesson):
            exchange = self._api.exchange.Submit(
                coursedir=self._coursedir,
                authenticator=self._api.authenticator,
                config=self._config,
                assignment_dir=str(home),
            )
            self._step(f"submit of {student}", lambda: capture_log(exchange))

    def collect(self) -> None:
        self._step("collect", lambda: self._api.collect(self.lesson))

    def autograde(self, student: str) -> None:
        self._step(f"autograde of {student}", lambda: self._api.autograde(self.lesson, student))

    def generate_feedback(self) -> None:
        self._step("generate_feedback", lambda: self._api.generate_feedback(self.lesson))

    def export(self) -> Path:
        path = self.root / "grades.csv"
        with self.gradebook as gradebook:
            GradesCsv(config=self._config, to=str(path)).export(gradebook)
        return path

    def _step(self, name: str, step: Callable[[], dict[str, Any]]) -> None:
        result = step()
        with self._log.open("a", encoding="utf8") as log:
            log.write(f"{name}\n{result.get('log', '')}{result.get('error', '')}\n")
        if not result["success"]:
            raise CourseError(f"{name} failed: {_reason(result)}", remedy=f"The whole log is in {self._log}.")


def _reason(result: dict[str, Any]) -> str:
    """The last exception in the log: what nbgrader raises at the end only says that there was one."""
    text = result.get("log", "") or result.get("error", "")
    errors = re.findall(r"^\s*((?:\w+\.)*\w*(?:Error|Exception)\b.*)$", text, flags=re.MULTILINE)
    return errors[-1].strip()[:200] if errors else text.strip().splitlines()[-1][:200]
