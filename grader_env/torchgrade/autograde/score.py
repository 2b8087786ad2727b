"""Points: what the judge decided; in classic mode, whether a graded cell stopped with an error."""

from typing import Any

from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution

from torchgrade.autograde.judging import verdict_of
from torchgrade.autograde.outcome import Stopped, stopped
from torchgrade.autograde.unfinished import unmark


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
    """What no machine has decided waits for a person: a test that nobody ran, a doubtful one, a fault of the grader.

    Stock nbgrader gives the first full points and cannot express the others. The grades of a notebook are saved
    together, or not at all.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        facts = resources["nbgrader"]
        self.notebook_id, self.assignment_id, self.student_id = (
            facts[name] for name in ("notebook", "assignment", "student")
        )
        with Gradebook(facts["db_url"]) as self.gradebook:
            save = self.gradebook.db.commit
            self.gradebook.db.commit = self.gradebook.db.flush
            NbGraderPreprocessor.preprocess(self, nb, resources)
            save()
        unmark(nb)
        return nb, resources

    def _add_score(self, cell: Any, resources: Any) -> None:
        verdict = verdict_of(cell)
        if not (verdict.needs_person if verdict else stopped(cell) is Stopped.NotRun):
            super()._add_score(cell, resources)
            return
        grade = self.gradebook.find_grade(
            cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id
        )
        grade.auto_score, grade.needs_manual_grade = None, True
        self.gradebook.db.commit()
