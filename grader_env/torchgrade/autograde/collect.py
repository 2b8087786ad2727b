"""Gather the outputs of cells from the kernel's messages, as nbclient does for a notebook."""

from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat.v4 import new_code_cell, new_notebook

from torchgrade.autograde.markup import Markup
from torchgrade.autograde.outcome import Stopped
from torchgrade.autograde.plain import plain
from torchgrade.kernels.kernel import Message


class Collector:
    """outputs: those of each cell so far, by its number in `sources`"""

    def __init__(self, sources: list[str]):
        self._cells = [new_code_cell(source) for source in sources]
        self._client = NotebookClient(new_notebook(cells=self._cells))
        self._client.reset_execution_trackers()
        self._client.clear_before_next_output = self._client.record_timing = False
        self._markup = Markup()

    def outputs(self, number: int) -> list[Any]:
        found: list[Any] = self._cells[number].outputs
        return found

    def collector(self, number: int) -> Callable[[Message], None]:
        """Puts a message of the kernel among the outputs of a cell; from one without sense an error remains."""
        cell = self._cells[number]

        def collect(message: Message) -> None:
            message["msg_type"] = message["header"].get("msg_type", "")
            try:
                message["content"] = plain(message["content"])
                _require_count(message["content"])
                self._markup.limit(message["content"])
                self._client.process_message(message, cell, number)
            except CellExecutionComplete:
                pass  # how nbclient tells its own loop
            except Exception:  # whatever the library runs into: the student's process may send anything
                cell.outputs.append(Stopped.BadOutput.output)

        return collect


def _require_count(content: Message) -> None:
    """nbclient takes over whatever is called a count, and pages show it as it is."""
    if type(content.get("execution_count")) not in (int, type(None)):
        raise ValueError("a count that is no number")
