"""nbgrader's configuration for this course: what stock nbgrader 0.9.6 gets wrong is replaced here, by name.

nbgrader runs this file several times per command; it only ever sets values.
"""

import os
import sys
import warnings
from importlib.resources import files
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821

# A new gradebook is made by the program `alembic`: find it even if the virtual environment is not activated.
programs = str(Path(sys.executable).parent)
if programs not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join(filter(None, [programs, os.environ.get("PATH")]))

# A harmless remark that nbgrader's own use of its database provokes for every new student.
warnings.filterwarnings("ignore", message="Object of type <Submitted(Assignment|Notebook)> not in session")

c.CourseDirectory.course_id = "pytorch"
# mistakes.py lists wrong and right answers: it stays in source/.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "mistakes.py"]

# A written question may hold its rubric. (nbgrader allows that in task cells only, because its autograder would take an
# untouched answer for a changed one; ours compares with the released text.)
c.ClearMarkScheme.enforce_metadata = False

# nbgrader's own list, but for the first: every lesson begins and ends with the cells of source/header and footer.ipynb.
generate = (
    *("InstantiateTests", "LockCells", "ClearSolutions", "ClearOutput", "CheckCellMetadata", "ComputeChecksums"),
    *("SaveCells", "ClearHiddenTests", "ClearMarkScheme", "ComputeChecksums", "CheckCellMetadata"),
)
c.GenerateAssignment.preprocessors = [
    "torchgrade.lessons.frame.IncludeFrame",
    *(f"nbgrader.preprocessors.{name}" for name in generate),
]

# Any file becomes a notebook, any notebook becomes the lesson, any failure costs its own cell. (CheckCellMetadata is
# not needed after Repair, which takes no metadata from a submission, and would cost a third of reading and writing.)
c.Autograde.exporter_class = "torchgrade.autograde.reading.SubmissionExporter"
c.Autograde.sanitize_preprocessors = [
    "torchgrade.autograde.repair.Repair",
    "nbgrader.preprocessors.OverwriteKernelspec",
]
c.Autograde.autograde_preprocessors = [
    "torchgrade.autograde.execute.RunCells",
    "torchgrade.autograde.score.OnlyErrorsCount",
    "nbgrader.preprocessors.LimitOutput",
    "torchgrade.autograde.score.SaveGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
]

# What being late costs stands in the class's file.
c.AssignLatePenalties.plugin_class = "torchgrade.late.DaysLate"
c.DaysLate.class_file = str(Path(__file__).parent / "hub_config" / "class.toml")

# Feedback: a summary and a part per exercise; no hidden tests, no student's script in anybody's browser (the
# formgrader's included, whose own templates must stay findable).
c.GenerateFeedback.preprocessors = [
    "torchgrade.feedback.grades.GetGradesAndWaits",
    "torchgrade.feedback.hide.HideTests",
    "torchgrade.feedback.hide.ShortErrors",
    "torchgrade.feedback.size.KeepSmall",
    "torchgrade.feedback.summary.Summarize",
    "torchgrade.feedback.version.SayVersion",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
templates = [files("torchgrade.feedback") / "templates", files("nbgrader.server_extensions.formgrader") / "templates"]
c.HTMLExporter.extra_template_basedirs = [str(folder) for folder in templates]
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {
    "clean_html": "torchgrade.feedback.sanitize.clean_html",
    "markdown2html": "torchgrade.feedback.sanitize.markdown2html",
}

c.ExportApp.plugin_class = "torchgrade.report.table.GradesCsv"
