"""A student's page does not tell where the grader has its files, whatever the student's code prints of them."""

import sys
import time

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from torchgrade.feedback.hide import ShortErrors

WARNING = "{}/torch/nn/functional.py:12: UserWarning: reduction is deprecated\n"


@pytest.mark.parametrize("packages", ["/srv/x-y/.venv/lib/python3.11/site-packages", "/usr/lib/python3/dist-packages"])
def test_a_warning_keeps_its_file_and_loses_its_place(packages):
    text = f"see {WARNING.format(packages)}"
    outputs = [
        new_output("stream", name="stderr", text=text),
        new_output("error", ename="ImportError", evalue=text, traceback=[text]),
        new_output("display_data", data={"text/plain": text, "text/html": f"<b>{text}</b>"}),
    ]
    notebook, _ = ShortErrors().preprocess(new_notebook(cells=[new_code_cell("x", outputs=outputs)]), {})
    shown = str(notebook.cells[0].outputs)
    assert shown.count(f"see {packages.rsplit('/', 1)[1]}/torch/nn/functional.py:12: UserWarning") == 5
    assert packages not in shown


def test_the_graders_python_is_not_named():
    output = new_output("stream", text=f"{sys.prefix}/bin/python and a/b/site-packages and /tmp/x")
    notebook, _ = ShortErrors().preprocess(new_notebook(cells=[new_code_cell("x", outputs=[output])]), {})
    assert notebook.cells[0].outputs[0].text == "bin/python and a/b/site-packages and /tmp/x"


def test_long_outputs_cost_no_more_than_their_length():
    def seconds(size):
        output = new_output("stream", text="/a" * size)
        started = time.process_time()
        ShortErrors().preprocess(new_notebook(cells=[new_code_cell("x", outputs=[output])]), {})
        return time.process_time() - started

    assert seconds(400_000) < 40 * seconds(40_000) + 0.1
