"""The demo's own course root: a copy of the lesson's source, a local exchange, and the course's configuration."""

import shutil
from pathlib import Path

from torchgrade.errors import CourseError

MARK = "# A demonstration course, made by `torchgrade demo` and replaced by its next run."
CONFIG = """{mark}
from pathlib import Path

c = get_config()
load_subconfig({config!r})

exchange = Path(__file__).parent / "exchange"
c.CourseDirectory.course_id = "demo"
c.Exchange.root = str(exchange)
c.Exchange.cache = str(exchange / "cache")
c.ExchangeCollect.check_owner = False  # one person submits for all students
c.Execute.timeout = {seconds}
"""
SECONDS_PER_CELL = 10  # a real course waits longer; here somebody is waiting for the endless loop


def make_root(course: Path, target: Path, lesson: str) -> None:
    """Make `target` a course root with one lesson of `course`; an earlier demo there is removed."""
    config = target / "nbgrader_config.py"
    if target.exists():
        if not config.is_file() or not config.read_text(encoding="utf8").startswith(MARK):
            raise CourseError("this is no earlier demo.", where=target, remedy="Choose a folder that does not exist.")
        shutil.rmtree(target)
    (target / "exchange").mkdir(parents=True)
    text = CONFIG.format(mark=MARK, config=str(course / "nbgrader_config.py"), seconds=SECONDS_PER_CELL)
    config.write_text(text, encoding="utf8")
    ignored = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
    shutil.copytree(course / "source" / lesson, target / "source" / lesson, ignore=ignored)
    for frame in (course / "source").glob("*.ipynb"):
        shutil.copy(frame, target / "source")
