"""The tree that students get: lessons, README, requirements, license, and the wheel with the checks."""

import shutil
from pathlib import Path

from torchgrade.publish.readme import readme
from torchgrade.publish.requirements import pinned
from torchgrade.publish.wheel import build_wheel

HEADER = "# Made by the course: the versions that every lesson was checked with.\n"


def build(course: Path, lessons: list[str], titles: dict[str, str], tree: Path) -> None:
    for lesson in lessons:
        shutil.copytree(course / "release" / lesson, tree / lesson)
    wheel = build_wheel(course, lessons, tree)
    lines = [*pinned(course / "grader_env" / "requirements"), f"./{wheel}"]
    (tree / "requirements.txt").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf8")
    torch = next(line.split("==")[1] for line in lines if line.startswith("torch=="))
    (tree / "README.md").write_text(readme(titles, torch), encoding="utf8")
    if (course / "LICENSE").is_file():
        shutil.copyfile(course / "LICENSE", tree / "LICENSE")
