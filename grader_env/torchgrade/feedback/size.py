"""A page that a phone can load: the largest of a student's outputs are left out until the rest fits."""

from typing import Any

from nbformat.v4 import new_output
from nbgrader.utils import is_locked

from torchgrade.feedback.hide import FeedbackPreprocessor

MAX_OUTPUTS = 250_000  # characters in all; the page's own text and code take up to as much again


class KeepSmall(FeedbackPreprocessor):
    """Says in place of each output that it left out how large it was. Those of graded cells always stay."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        sizes = [
            (_size(output), cell, index)
            for cell in nb.cells
            if cell.cell_type == "code" and not is_locked(cell)
            for index, output in enumerate(cell.outputs)
        ]
        total = sum(size for size, _, _ in sizes)
        for size, cell, index in sorted(sizes, key=lambda one: -one[0]):
            if total <= MAX_OUTPUTS:
                break
            total -= size
            note = f"(An output of {size:,} characters is left out here, to keep this page small.)"
            cell.outputs[index] = new_output("stream", name="stdout", text=note)
        return nb, resources


def _size(output: Any) -> int:
    if output.output_type == "stream":
        return len(output.text)
    if output.output_type == "error":
        return sum(map(len, output.traceback))
    return sum(len(str(data)) for data in output.data.values())
