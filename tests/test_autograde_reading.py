"""Whatever a submitted file holds, it becomes a notebook or one sentence."""

import io
import json

import pytest
from nbformat.validator import validate
from torchgrade.autograde.reading import MAX_CHARACTERS, Unreadable, read_submission


def read(data):
    return read_submission(io.StringIO(data if isinstance(data, str) else json.dumps(data)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("{nope", "not JSON"),
        ('{"cells": [', "cut off"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no notebook"),
        ('{"cells": 3}', "no notebook"),
        ('{"nbformat": 3, "worksheets": 7}', "cannot be upgraded"),
        (" " * (MAX_CHARACTERS + 1), "longer than"),
    ],
)
def test_a_file_that_is_no_notebook_is_named(content, reason):
    with pytest.raises(Unreadable, match=reason):
        read(content)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "picture.ipynb"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with path.open(encoding="utf8") as stream, pytest.raises(Unreadable, match="not text"):
        read_submission(stream)


def test_an_old_notebook_is_upgraded():
    cell = {"cell_type": "code", "input": ["a = 1\n", "b = 2"], "outputs": [], "language": "python", "metadata": {}}
    notebook = read({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell]}]})
    assert [cell.source for cell in notebook.cells] == ["a = 1\nb = 2"]


def test_malformed_cells_are_left_out_and_the_rest_is_valid():
    good = {"cell_type": "code", "source": ["x = 1"], "metadata": [], "outputs": "none", "id": "same"}
    notebook = read({"cells": [7, {}, {"cell_type": "video"}, {"cell_type": "code", "source": 3}, good, good]})
    assert [cell.source for cell in notebook.cells] == ["x = 1", "x = 1"]
    assert notebook.cells[0].id == "same" != notebook.cells[1].id
    validate(notebook)
