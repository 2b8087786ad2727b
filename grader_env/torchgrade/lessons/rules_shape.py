"""Rules for the shape of a lesson: the parts that a reader finds in every one of them, in the same words."""

import re
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import MARK_SCHEME, SOLUTION, Master, regions
from torchgrade.lessons.outline import FIND_THE_BUG, calls, exercises

# (what must be found in the prose, what is missing without it, what to add)
PARTS = (
    (
        r"^\*\*After this lesson you can\*\*",
        "no outcomes",
        '"**After this lesson you can**" and a list under the title',
    ),
    (r"^## The big picture", "no big picture", 'a section "The big picture"'),
    (r"Where it breaks", "no analogy with its limits", '"> **Where it breaks.** ..." after the analogy'),
    (r"^#+ .*Project", "no project", 'an exercise or section "Project: ..."'),
    (r"^#+ The ladder", "no ladder", 'a section "The ladder"'),
    (r"^## Recap", "no recap", 'a section "Recap" of five sentences'),
    (r"^- \[ \] ", "no list of outcomes to tick off", '"- [ ] ..." in the recap'),
    (r"^\*\*Further reading\*\*(?:.*\n)+?.*\]\(https?://", "no further reading", '"**Further reading**" with links'),
    (r"^\*\*Next\*\*", "nothing leads on to the next lesson", '"**Next**: ..." at the end'),
)
HABITS = "Sanity habits"
WARM_UP = re.compile(r"#+ Warm-up")


def holds_every_part(master: Master) -> Iterator[Finding]:
    prose = "\n\n".join(cell.source for cell in master.notebook.cells if cell.cell_type == "markdown")
    for pattern, what, remedy in PARTS:
        if not re.search(pattern, prose, re.MULTILINE):
            yield Finding(None, f"{what}.", f"Add {remedy}.")
    warm_up = [cell.source for cell in master.notebook.cells if WARM_UP.match(cell.source)]
    if not any(text.count("<details>") == 3 for text in warm_up):
        yield Finding(None, "no warm-up of three questions.", 'Add a cell "### Warm-up: ..." with three <details>.')
    if not any(FIND_THE_BUG.search(exercise.section) for exercise in exercises(master)):
        yield Finding(None, "no exercise is to find a bug.", 'Add one with "Find the bug" in its title.')
    trains = any(".backward()" in cell.source for cell in master.code_cells)
    if trains and HABITS not in prose:
        yield Finding(None, "it trains without sanity habits.", f'Add a box "> **{HABITS}** ...".')
    if not any(calls(cell, "torch.set_num_threads") for cell in master.code_cells):
        yield Finding(None, "it leaves the number of threads open.", "Call torch.set_num_threads(1) after the imports.")


def guess_is_revealed(master: Master) -> Iterator[Finding]:
    """check.predict without its check.reveal leaves a reader with a guess."""
    cells = master.code_cells
    for at, cell in enumerate(cells):
        for call in calls(cell, "check.predict"):
            question = call.args[0] if call.args else None
            revealed = {
                reveal.args[0].value
                for later in cells[at:]
                for reveal in calls(later, "check.reveal")
                if reveal.args and hasattr(reveal.args[0], "value")
            }
            if getattr(question, "value", None) not in revealed:
                yield Finding(
                    cell, "this guess is never revealed.", "Call check.reveal with the same text in a later cell."
                )


def question_can_be_marked(master: Master) -> Iterator[Finding]:
    for cell in master.written.values():
        for what, markers in (("model answer", SOLUTION), ("mark scheme", MARK_SCHEME)):
            if not any(text.strip() for text in regions(cell.source, markers)):
                yield Finding(cell, f"this question has no {what}.", f"Write it after {markers[0]!r}.")


RULES = (holds_every_part, guess_is_revealed, question_can_be_marked)
