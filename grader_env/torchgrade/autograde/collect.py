"""Gather the outputs of cells from the kernel's messages, as nbclient does for a notebook."""

from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from torchgrade.autograde.kept_outputs import KeptOutputs
from torchgrade.autograde.outcome import Stopped
from torchgrade.kernels.kernel import Message


class Collector:
    """outputs: those of each cell so far, by its number in `sources`"""

    def __init__(self, sources: list[str]):
        self._cells = [new_code_cell(source) for source in sources]
        self._client = NotebookClient(new_notebook(cells=self._cells))
        self._client.reset_execution_trackers()
        self._client.clear_before_next_output = self._client.record_timing = False
        self._kept = KeptOutputs()

    def outputs(self, number: int) -> list[Any]:
        found: list[Any] = self._cells[number].outputs
        return found

    def collector(self, number: int) -> Callable[[Message], None]:
        """Puts a message of the kernel among the outputs of a cell; from one without sense an error remains."""
        cell = self._cells[number]

        def collect(message: Message) -> None:
            try:
                if (kept := self._kept.fit(message)) is not None:
                    self._client.process_message(kept, cell, number)
            except Exception:  # whatever the library runs into: the student's process may send anything
                cell.outputs.append(Stopped.BadOutput.output)

        return collect
