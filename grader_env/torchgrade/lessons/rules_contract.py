"""What the course promises in numbers: of each lesson, and of all fifteen together."""

from collections.abc import Iterator

from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Master
from torchgrade.lessons.outline import minutes
from torchgrade.lessons.stats import stats

# What the course promises of every lesson: (number in `torchgrade lesson stats`, at least, what to add).
CONTRACT = (
    ("kb", 30, "explain more, or show more"),
    ("examples", 14, "code cells that show something"),
    ("plots", 7, "pictures that answer a question (plots.finish)"),
    ("exercises", 5, "exercises (### Exercise N.M · title)"),
    ("written", 1, "a written question with a model answer and a mark scheme"),
    ("predictions", 3, "guesses before the reveal (check.predict)"),
    ("minutes", 1, "the minutes of each section, in a table under the title"),
    ("mistakes", 30, "wrong answers in mistakes.py"),
    ("accepted", 10, "other right answers in mistakes.py"),
)

LESSONS = 15
HOURS = (40, 60)  # for all of them


def holds_enough(master: Master) -> Iterator[Finding]:
    found = stats(master, read_bank(master.bank_path))
    for name, least, what in CONTRACT:
        if found[name] < least:
            yield Finding(None, f"{name}: {found[name]:g}, and the course promises {least}.", f"Add: {what}.")


def hours_fit(masters: list[Master]) -> str | None:
    """What is wrong with the hours of the whole course, as one line; None as long as lessons are missing."""
    hours = sum(map(minutes, masters)) / 60
    least, most = HOURS
    if len(masters) < LESSONS or least <= hours <= most:
        return None
    source = masters[0].folder.parent
    long, short = (pick(masters, key=minutes).name for pick in (max, min))
    remedy = f"Shorten lessons; the longest is {long}." if hours > most else f"Add to lessons; the shortest is {short}."
    return f"{source}: all lessons: {hours:.1f} hours, and the course promises {least} to {most}. {remedy}"


RULES = (holds_enough,)
