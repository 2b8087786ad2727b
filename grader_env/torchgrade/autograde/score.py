"""Points: a graded cell either passed or stopped with an error; what it printed is never a score."""

from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution

from torchgrade.autograde.outcome import Stopped, stopped


class OnlyErrorsCount(NbGraderPreprocessor):
    """Stock nbgrader gives 0 for any text on stderr and takes a displayed number as the score.

    Both stay visible here, in a form that its scoring does not look at.
    """

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.name = "stdout"
                elif output.output_type == "execute_result":
                    output.output_type = "display_data"
                    del output["execution_count"]
        return cell, resources


class SaveGrades(SaveAutoGrades):
    """A test that nobody ran (`nbgrader autograde --no-execute`) waits for a person; stock gives it full points."""

    def _add_score(self, cell: Any, resources: Any) -> None:
        if stopped(cell) is not Stopped.NotRun:
            super()._add_score(cell, resources)
            return
        grade = self.gradebook.find_grade(
            cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id
        )
        grade.auto_score, grade.needs_manual_grade = None, True
        self.gradebook.db.commit()
