"""What a rule of `torchgrade lesson lint` reports."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torchgrade.lessons.master import Cell, Master


@dataclass(frozen=True)
class Finding:
    """A rule that a lesson breaks: in which cell (None: the lesson as a whole), what is wrong, how to mend it."""

    cell: Cell | None
    what: str
    remedy: str

    def text(self, master: Master) -> str:
        place = f"cell {self.cell.id}" if self.cell is not None else "the lesson"
        return f"{master.path}: {place}: {self.what} {self.remedy}"


Rule = Callable[[Master], Iterable[Finding]]
