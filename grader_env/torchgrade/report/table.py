"""Tables that a spreadsheet opens: nbgrader's grades.csv with names quoted, and no cell that it takes for a formula."""

import csv
from collections.abc import Iterator

from nbgrader.api import Assignment, Gradebook, MissingEntry, Student
from nbgrader.plugins import ExportPlugin

from torchgrade.late import Penalties

COLUMNS = (
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score"),
)


def harmless(text: str) -> str:
    """`text`, never a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


class GradesCsv(ExportPlugin):
    """`nbgrader export` with the columns of nbgrader's own; that one writes a name with a comma as two cells."""

    def export(self, gradebook: Gradebook) -> None:
        path, penalties = self.to or "grades.csv", Penalties(self)
        self.log.info("Exporting grades to %s", path)
        with open(path, "w", encoding="utf8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(self._rows(gradebook, penalties))

    def _rows(self, gradebook: Gradebook, penalties: Penalties) -> Iterator[list[str]]:
        for assignment in gradebook.assignments:
            for student in gradebook.students:
                wanted = not self.assignment or assignment.name in map(str, self.assignment)
                if wanted and (not self.student or student.id in map(str, self.student)):
                    yield _row(gradebook, penalties, assignment, student)


def _row(gradebook: Gradebook, penalties: Penalties, assignment: Assignment, student: Student) -> list[str]:
    """Who handed nothing in has 0 points."""
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        timestamp, raw, penalty = None, 0.0, 0.0
    else:
        timestamp, raw = submission.timestamp, submission.score
        penalty = sum(map(penalties.of, submission.notebooks), 0.0)
    who = (student.id, student.last_name, student.first_name, student.email)
    texts = [
        harmless(str("" if one is None else one)) for one in (assignment.name, assignment.duedate, timestamp, *who)
    ]
    return [*texts, *map(str, (raw, penalty, max(0.0, raw - penalty), assignment.max_score))]
