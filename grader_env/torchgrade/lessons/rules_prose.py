"""Rules for what the lesson says: no claim about people without a source, no decoration."""

import re
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Cell, Master, nbgrader

CLAIMS = re.compile(
    r"\b(?:most|many) (?:people|students|readers|beginners) (?:guess|say|think|answer|expect|believe|get)\w*"
    r"|\b(?:everyone|everybody|people) (?:usually )?(?:guess|expect|believe)\w*"
    r"|\b(?:studies|research) (?:show|prove|suggest)\w*"
    r"|\bit is (?:well known|widely known|common knowledge)\b"
    r"|\bas (?:everyone|everybody) knows\b",
    re.IGNORECASE,
)
SOURCE = re.compile(r"\]\(https?://")
EMOJI = re.compile("[\u2600-\u26ff\u2705\u2728\u274c\u2764\u2b50\U0001f300-\U0001faff]")


def claim_has_a_source(master: Master) -> Iterator[Finding]:
    """A paragraph may claim what it links to."""
    for cell in _prose(master):
        for paragraph in cell.source.split("\n\n"):
            claim = CLAIMS.search(" ".join(paragraph.split()))
            if claim and not SOURCE.search(paragraph):
                yield Finding(
                    cell,
                    f'"{claim.group()}" is claimed without a source.',
                    'Link the source, or write "it is tempting to ...".',
                )


def no_emoji(master: Master) -> Iterator[Finding]:
    for cell in master.notebook.cells:
        if found := EMOJI.search(cell.source):
            yield Finding(cell, f"it holds the emoji {found.group()!r}.", "Say it in words.")


def _prose(master: Master) -> Iterator[Cell]:
    return (cell for cell in master.notebook.cells if cell.cell_type == "markdown" and not nbgrader(cell))


RULES = (claim_has_a_source, no_emoji)
