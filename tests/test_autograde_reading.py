"""Whatever a submitted file holds, it becomes a notebook or one sentence."""

import io
import json

import pytest
from nbformat.validator import validate
from torchgrade.autograde.plain import MAX_DEPTH
from torchgrade.autograde.reading import (
    MAX_CELLS,
    MAX_CHARACTERS,
    MAX_TEXT,
    MAX_TEXT_CELL,
    SubmissionExporter,
    Unreadable,
    read_submission,
)


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


def code(source="x = 1", **more):
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], **more}


def test_half_a_character_becomes_a_question_mark():
    notebook = read({"cells": [code("x = '\ud83d'", metadata={"\udc00": "\ud83d"})]})
    assert notebook.cells[0].source == "x = '?'" and notebook.cells[0].metadata == {"?": "?"}


def test_metadata_nested_without_end_is_dropped_and_the_cell_stays():
    deep = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"in": deep}
    notebook = read({"cells": [code(metadata=deep)]})
    assert [(cell.source, cell.metadata) for cell in notebook.cells] == [("x = 1", {})]


def test_outputs_that_were_handed_in_are_not_read():
    assert read({"cells": [code(outputs=[{"output_type": "stream", "text": "passed"}])]}).cells[0].outputs == []


def test_a_notebook_of_too_many_cells_is_cut_and_says_so():
    notebook = read({"cells": [code()] * (MAX_CELLS + 5)})
    assert len(notebook.cells) == MAX_CELLS + 1 and "cut here" in notebook.cells[-1].source


def test_texts_are_cut_where_a_page_of_them_would_take_minutes():
    long = {"cell_type": "markdown", "source": "x" * (MAX_TEXT_CELL + 1)}
    notebook = read({"cells": [long] * 20 + [code("y" * 2 * MAX_TEXT)]})
    assert notebook.cells[0].source.startswith("x" * MAX_TEXT_CELL + "\n\n> **Note:** cut here")
    assert sum(cell.source.count("x") for cell in notebook.cells) < MAX_TEXT + 100
    assert notebook.cells[-1].source == "y" * 2 * MAX_TEXT  # code is code


def test_a_notebook_that_is_a_link_is_not_read(tmp_path):
    (tmp_path / "secret.ipynb").write_text(json.dumps({"cells": [code("secret")], "nbformat": 4}))
    (tmp_path / "link.ipynb").symlink_to("secret.ipynb")
    text, _ = SubmissionExporter().from_filename(str(tmp_path / "link.ipynb"))
    assert "secret" not in text and "it is a link" in text
