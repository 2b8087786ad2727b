"""What lateness costs: a share of the score for each day begun after the days of grace, by [late] of class.toml.

The share is of the score as it stands: feedback pages and tables ask again, since a person may have given points, or a
student more time, after the autograder had written what it knew.
"""

import math
from pathlib import Path

from nbgrader.api import SubmittedNotebook
from nbgrader.plugins import BasePlugin, LateSubmissionPlugin
from traitlets import Unicode
from traitlets.config import Configurable
from traitlets.utils.importstring import import_item

from torchgrade.hub.class_file import read_late

DAY = 24 * 60 * 60


class DaysLate(BasePlugin):
    """nbgrader's plug-in for late submissions."""

    class_file = Unicode(help="The class.toml whose table [late] holds; without it nothing is taken off.").tag(
        config=True
    )

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points to take off, None for none. Raises CourseError if class.toml cannot be read."""
        path = Path(self.class_file)
        rule = read_late(path) if path.is_file() else None
        days = math.ceil(total_seconds_late / DAY) - (rule.grace_days if rule else 0)
        return score * min(1.0, days * rule.percent_a_day / 100) if rule and days > 0 else None


class Penalties:
    """Points to take off by whatever plug-in is configured. parent: whoever holds nbgrader's configuration"""

    def __init__(self, parent: Configurable):
        chosen = parent.config.AssignLatePenalties.get("plugin_class", LateSubmissionPlugin)
        self._plugin = (import_item(chosen) if isinstance(chosen, str) else chosen)(parent=parent)

    def of(self, notebook: SubmittedNotebook) -> float:
        """Between 0 and its score."""
        assignment, score = notebook.assignment, float(notebook.score)
        late = assignment.total_seconds_late
        penalty = self._plugin.late_submission_penalty(assignment.student.id, score, late) if late > 0 else None
        return min(max(0.0, penalty or 0.0), score)
