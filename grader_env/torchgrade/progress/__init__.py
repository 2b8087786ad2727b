"""What a student has done: the checks that pass, the lessons so far, and the ladder of language models.

    progress.watch()                       # the first cell of a lesson
    progress.ladder("07", "my layer", ...) # a new rung
    progress.footer()                      # the last cell: what passes, what to revisit

Nothing here is graded, and nothing here stops a notebook: a record that cannot be read or written is one line of text.
"""

from torchgrade.progress.footer import footer
from torchgrade.progress.ladder import ladder
from torchgrade.progress.reference import Row, reference_rows
from torchgrade.progress.seen import watch

__all__ = ["Row", "footer", "ladder", "reference_rows", "watch"]
