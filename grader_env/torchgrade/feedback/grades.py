"""Scores and comments from the gradebook, and which of them still wait for a person."""

from typing import Any

from nbgrader.preprocessors import GetGrades


class GetGradesAndWaits(GetGrades):
    """As nbgrader's, and `waits` in the metadata of a cell that a person has not graded yet."""

    def _get_score(self, cell: Any, resources: Any) -> None:
        super()._get_score(cell, resources)
        names = self.notebook_id, self.assignment_id, self.student_id
        grade = self.gradebook.find_grade(cell.metadata.nbgrader.grade_id, *names)
        cell.metadata.nbgrader["waits"] = bool(grade.needs_manual_grade)
