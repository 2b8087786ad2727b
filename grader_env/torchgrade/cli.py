"""The command `torchgrade`. What it cannot do it says in one line, and exits with 2."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torchgrade.errors import CourseError
from torchgrade.hub import commands as hub_commands

if TYPE_CHECKING:
    from torchgrade.lessons.bank import Bank
    from torchgrade.lessons.master import Master

# Commands import what they need when they run: --help must not wait for torch.
Command = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except CourseError as error:
        print(f"torchgrade: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _mistakes(options: argparse.Namespace) -> int:
    lessons = _with_banks(options)
    from torchgrade.lessons import mistakes  # loads torch, when all files are known to be good

    return mistakes.run(lessons, as_json=options.json, seconds=options.timeout)


def _calibrate(options: argparse.Namespace) -> int:
    lessons = _with_banks(options)
    from torchgrade.lessons import calibrate

    return calibrate.run(lessons)


def _with_banks(options: argparse.Namespace) -> "list[tuple[Master, Bank]]":
    """The lessons named, for a command that runs them on the CPU and in one thread."""
    from torchgrade.lessons.bank import read_bank
    from torchgrade.lessons.machine import only_cpu_and_one_thread
    from torchgrade.lessons.master import read_master

    course, names = _lessons(options.lessons)
    masters = [read_master(course, name) for name in names]
    lessons = [(master, read_bank(master.bank_path)) for master in masters]
    only_cpu_and_one_thread()
    return lessons


def _new(options: argparse.Namespace) -> int:
    from torchgrade.lessons import new
    from torchgrade.lessons.master import course_root

    return new.run(course_root(), options.name)


def _lint(options: argparse.Namespace) -> int:
    from torchgrade.lessons.bank import read_bank
    from torchgrade.lessons.machine import only_cpu_and_one_thread
    from torchgrade.lessons.master import read_master

    course, names = _lessons(options.lessons)
    masters = [read_master(course, name) for name in names]
    for master in masters:
        read_bank(master.bank_path)  # a bad one is reported before the first lesson runs
    only_cpu_and_one_thread()
    from torchgrade.lessons import lint

    return lint.run(masters)


def _stats(options: argparse.Namespace) -> int:
    from torchgrade.lessons import stats
    from torchgrade.lessons.bank import read_bank
    from torchgrade.lessons.master import read_master

    course, names = _lessons(options.lessons)
    if options.write_summary and options.lessons:
        raise CourseError("--write-summary counts all lessons.", remedy="Name none.")
    lessons = [(master, read_bank(master.bank_path)) for master in (read_master(course, name) for name in names)]
    summary_path = course / "COURSE_SUMMARY.md" if options.write_summary else None
    return stats.run(lessons, as_json=options.json, summary_path=summary_path)


def _ladder(options: argparse.Namespace) -> int:
    from torchgrade.lessons import ladder

    return ladder.run(options.rungs, options.seconds)


def _leaks(options: argparse.Namespace) -> int:
    from torchgrade.lessons import leaks

    course, lessons = _lessons(options.lessons)
    return leaks.run(course, lessons, feedback=options.feedback)


def _fmt(options: argparse.Namespace) -> int:
    from torchgrade.lessons import fmt

    if options.lessons and all(name.endswith(".ipynb") for name in options.lessons):
        return fmt.run(Path.cwd(), options.lessons, check=options.check)
    course, lessons = _lessons(options.lessons)
    return fmt.run(course, lessons, check=options.check)


def _doctor(options: argparse.Namespace) -> int:
    from torchgrade.kernels import doctor

    return doctor.run()


def _autograde(options: argparse.Namespace) -> int:
    import functools

    from torchgrade.autograde import batch, executors
    from torchgrade.lessons.master import course_root

    if options.jobs < 1:
        raise CourseError(f"--jobs {options.jobs} leaves nobody to work.", remedy="Say 1 or more.")
    course = course_root()
    lessons = options.lessons or batch.handed_in(course)
    make = (
        functools.partial(executors.dask, options.scheduler, options.jobs)
        if options.scheduler
        else functools.partial(executors.local, options.jobs)
    )
    return batch.run(
        course,
        lessons,
        student=options.student,
        executors=make,
        workers=options.jobs,
        force=options.force,
        watch=options.watch,
    )


def _demo(options: argparse.Namespace) -> int:
    from torchgrade.demo import run
    from torchgrade.lessons.master import course_root

    course = course_root()
    return run(course, options.target or course / "build" / "demo", options.lesson)


def _report(options: argparse.Namespace) -> int:
    from torchgrade.lessons.master import course_root
    from torchgrade.report import page

    return page.run(course_root(), options.lessons)


def _review(options: argparse.Namespace) -> int:
    from torchgrade.lessons.master import course_root
    from torchgrade.report import review

    return review.run(course_root(), options.lessons)


def _debrief(options: argparse.Namespace) -> int:
    from torchgrade.lessons.master import course_root
    from torchgrade.report import debrief

    return debrief.run(course_root(), options.lesson)


def _otter(options: argparse.Namespace) -> int:
    from torchgrade.otter import bundle

    return bundle.run(*_lessons(options.lessons))


def _publish(options: argparse.Namespace) -> int:
    from torchgrade.lessons.master import course_root
    from torchgrade.publish.run import run

    return run(course_root(), options.target)


def _lessons(named: list[str]) -> tuple[Path, list[str]]:
    """The course around the working directory and the lessons meant: those named, else all."""
    from torchgrade.lessons.master import course_root, lesson_names

    course = course_root()
    lessons = named or lesson_names(course)
    if not lessons:
        raise CourseError(
            "there are no lessons.", where=course / "source", remedy="Add source/NN_topic/NN_topic.ipynb."
        )
    return course, lessons


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchgrade", description="The PyTorch course that grades itself.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    lesson = commands.add_parser("lesson", help="tools for authors: check and format masters")
    tools = lesson.add_subparsers(required=True, metavar="TOOL")

    new = _add(tools, "new", _new, "begin a lesson: a small one that runs, passes and explains itself")
    new.add_argument("name", metavar="NN_topic", help="the new folder in source/, as 08_positions")

    mistakes = _add(tools, "mistakes", _mistakes, "prove that the tests catch every wrong answer of the mistake bank")
    _lessons_argument(mistakes)
    mistakes.add_argument("--json", action="store_true", help="print everything that was found as JSON")
    mistakes.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="CPU time for one variant (default: %(default)g); by the clock it may last ten times as long",
    )

    _lessons_argument(
        _add(tools, "calibrate", _calibrate, "measure right and naive answers against the thresholds of speed checks")
    )

    ladder = _add(tools, "ladder", _ladder, "train the models of the ladder anew and write its reference rows")
    ladder.add_argument("rungs", nargs="*", metavar="RUNG", help="a model's name (default: all; about 40 minutes)")
    ladder.add_argument(
        "--seconds", type=_seconds, default=600.0, help="CPU time for each trained one (default: %(default)g)"
    )

    leaks = _add(tools, "leaks", _leaks, "prove that releases and feedback hold no solution and no hidden test")
    _lessons_argument(leaks)
    leaks.add_argument("--feedback", type=Path, metavar="DIR", help="look through DIR/STUDENT/LESSON/, too")

    fmt = _add(tools, "fmt", _fmt, "bring masters into canonical form: no outputs, stable ids, sorted keys")
    _lessons_argument(fmt, or_notebook=True)
    fmt.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")

    _lessons_argument(
        _add(tools, "lint", _lint, "check the rules of a good lesson, the values in its comments included")
    )

    stats = _add(tools, "stats", _stats, "count what lessons hold, and measure how long they run")
    _lessons_argument(stats)
    stats.add_argument("--json", action="store_true", help="print the numbers as JSON")
    stats.add_argument("--write-summary", action="store_true", help="write the counts into COURSE_SUMMARY.md instead")

    demo = _add(commands, "demo", _demo, "grade sample submissions and show what came out")
    demo.add_argument("--lesson", metavar="LESSON", help="the lesson to show (default: the first)")
    demo.add_argument("--target", type=Path, metavar="DIR", help="the course folder to make (default: build/demo)")

    _add(commands, "doctor", _doctor, "try out how well this machine can isolate a submission")

    autograde = _add(commands, "autograde", _autograde, "grade what was handed in, with several workers; resumes")
    autograde.add_argument("lessons", nargs="*", metavar="LESSON", help="a lesson's name (default: all handed in)")
    autograde.add_argument("--student", default="*", metavar="S", help="a student's name or a pattern (default: all)")
    autograde.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="submissions at a time (default: %(default)s, the cores)"
    )
    autograde.add_argument(
        "--scheduler", metavar="ADDRESS", help="use the workers of this Dask scheduler, or of a gateway+http(s)://..."
    )
    autograde.add_argument("--watch", action="store_true", help="stay, warm, and grade what is handed in, until Ctrl-C")
    autograde.add_argument("--force", action="store_true", help="grade again what would come out the same")

    report = _add(commands, "report", _report, "write what teachers want to know of the class: report.html, report.csv")
    report.add_argument("lessons", nargs="*", metavar="LESSON", help="a lesson's name (default: all graded)")

    review = _add(commands, "review", _review, "list what waits for a person, with model answer and rubric")
    review.add_argument("lessons", nargs="*", metavar="LESSON", help="a lesson's name (default: all graded)")

    debrief = _add(
        commands, "debrief", _debrief, "write the solved lesson and the class's mistakes, after the deadline"
    )
    debrief.add_argument("lesson", metavar="LESSON", help="a lesson's name")

    _lessons_argument(
        _add(commands, "otter", _otter, "write tests for otter-grader: a laptop, Colab, Gradescope; can be forged")
    )

    hub = commands.add_parser("hub", help="a class in JupyterHub: serve, roster, backup")
    hub_commands.add_commands(_add, hub.add_subparsers(required=True, metavar="COMMAND"))

    publish = _add(commands, "publish", _publish, "write what students get into a folder, proven to hold nothing else")
    publish.add_argument(
        "target", type=Path, metavar="DIR", help="a folder outside the course, new or of an earlier run"
    )
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: Command, what: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    parser.set_defaults(command=run)
    return parser


def _lessons_argument(parser: argparse.ArgumentParser, *, or_notebook: bool = False) -> None:
    what = "a lesson's name, or the path of a notebook" if or_notebook else "a lesson's name"
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help=f"{what} (default: all lessons)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("a positive number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
