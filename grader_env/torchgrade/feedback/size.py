"""A page that a phone can load: the largest of a student's outputs are left out until the rest fits."""

from collections import defaultdict
from typing import Any

from nbformat.v4 import new_output
from nbgrader.utils import is_locked

from torchgrade.feedback.hide import FeedbackPreprocessor

MAX_OUTPUTS = 250_000  # characters in all; the page's own text and code take up to as much again
AROUND = 250  # characters of HTML around each output, about: a thread can print a thousand times


class KeepSmall(FeedbackPreprocessor):
    """Says in place of those outputs of a cell that it left out how large they were. A graded cell's always stay."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        cells = [cell for cell in nb.cells if cell.cell_type == "code" and not is_locked(cell)]
        sizes = [
            (_size(output), number, index)
            for number, cell in enumerate(cells)
            for index, output in enumerate(cell.outputs)
        ]
        total = sum(size + AROUND for size, _, _ in sizes)
        left_out: dict[int, dict[int, int]] = defaultdict(dict)  # cell -> output -> size
        for size, number, index in sorted(sizes, key=lambda one: -one[0]):
            if total <= MAX_OUTPUTS:
                break
            total -= size + AROUND
            left_out[number][index] = size
        for number, outputs in left_out.items():
            cell = cells[number]
            cell.outputs[min(outputs)] = new_output("stream", name="stdout", text=_note([*outputs.values()]))
            gone = outputs.keys() - {min(outputs)}
            cell.outputs = [output for index, output in enumerate(cell.outputs) if index not in gone]
        return nb, resources


def _note(sizes: list[int]) -> str:
    some = "An output" if len(sizes) == 1 else f"{len(sizes):,} outputs"
    verb = "is" if len(sizes) == 1 else "are"
    return f"({some} of {sum(sizes):,} characters {verb} left out here, to keep this page small.)"


def _size(output: Any) -> int:
    if output.output_type == "stream":
        return len(output.text)
    if output.output_type == "error":
        return sum(map(len, output.traceback))
    return sum(len(str(data)) for data in output.data.values())
