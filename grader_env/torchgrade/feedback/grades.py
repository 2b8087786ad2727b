"""Scores and comments from the gradebook, and which of them still wait for a person."""

from typing import Any

from nbgrader.api import Gradebook
from nbgrader.preprocessors import GetGrades

from torchgrade.late import Penalties


class GetGradesAndWaits(GetGrades):
    """As nbgrader's, with lateness taken from today's score, and `waits` in a cell that a person has not graded yet."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb, resources = super().preprocess(nb, resources)
        facts = resources["nbgrader"]
        with Gradebook(facts["db_url"]) as gradebook:
            notebook = gradebook.find_submission_notebook(self.notebook_id, self.assignment_id, self.student_id)
            facts["late_penalty"] = Penalties(self).of(notebook)
            facts["score"] = notebook.score - facts["late_penalty"]
        return nb, resources

    def _get_comment(self, cell: Any, resources: Any) -> None:
        """What a person wrote. The page says so, and nbgrader's own "No response." is by nobody."""
        names = self.notebook_id, self.assignment_id, self.student_id
        comment = self.gradebook.find_comment(cell.metadata.nbgrader.grade_id, *names)
        cell.metadata.nbgrader["comment"] = comment.manual_comment

    def _get_score(self, cell: Any, resources: Any) -> None:
        super()._get_score(cell, resources)
        names = self.notebook_id, self.assignment_id, self.student_id
        grade = self.gradebook.find_grade(cell.metadata.nbgrader.grade_id, *names)
        cell.metadata.nbgrader["waits"] = bool(grade.needs_manual_grade)
