"""`torchgrade lesson fmt`: one form per notebook, whatever it looked like, and nothing lost."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_course import answer, graded, write
from small_lesson import METADATA, tiny
from torchgrade.errors import CourseError
from torchgrade.lessons import fmt
from torchgrade.lessons.canonical import canonical_text
from torchgrade.lessons.master import read_notebook


def formatted(path: Path, notebook: Any) -> Any:
    write(path, notebook)
    text = canonical_text(path)
    path.write_text(text, encoding="utf8")
    assert canonical_text(path) == text, "a second time changes nothing"
    return read_notebook(path)


def used() -> Any:
    """A notebook as Jupyter leaves it."""
    ran = new_code_cell("x = 1  \n\ny = '√'\t\n\n", execution_count=7, outputs=[new_output("stream", text="hello")])
    ran.metadata.update(tags=["demo", "a"], scrolled=True, jupyter={"source_hidden": True})
    text = new_markdown_cell("two spaces  \nbreak the line\n", metadata={"collapsed": True})
    text.attachments = {"dot.png": {"image/png": "aGVsbG8="}}
    test = graded("x_check", 2.0, "assert x")
    test.metadata.nbgrader.update(checksum="0123", cell_type="code", schema_version=2)
    kernel = {"name": "conda-env-x", "display_name": "My kernel", "language": "python"}
    return new_notebook(cells=[ran, text, test], metadata={"kernelspec": kernel, "toc": {}, "widgets": {}})


def test_outputs_counts_and_stray_metadata_go(tmp_path):
    notebook = formatted(tmp_path / "a.ipynb", used())
    code, text, test = notebook.cells
    assert (code.outputs, code.execution_count) == ([], None)
    assert code.metadata == {"tags": ["a", "demo"]}
    assert text.metadata == {}
    assert notebook.metadata == METADATA
    assert test.metadata.nbgrader == {
        "grade": True,
        "grade_id": "x_check",
        "locked": True,
        "points": 2,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }


def test_text_and_pictures_stay(tmp_path):
    code, text, _ = formatted(tmp_path / "a.ipynb", used()).cells
    assert code.source == "x = 1\n\ny = '√'"  # trailing spaces of code go
    assert text.source == "two spaces  \nbreak the line"  # in text two of them mean a new line
    assert text.attachments == {"dot.png": {"image/png": "aGVsbG8="}}


def test_the_file_is_plain(tmp_path):
    write(tmp_path / "a.ipynb", used())
    text = canonical_text(tmp_path / "a.ipynb")
    assert "√" in text and text.endswith("}\n") and not text.endswith("\n\n")
    assert text.startswith('{\n "cells": [\n  {\n   "cell_type"')
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_ids_are_kept_or_derived(tmp_path):
    cells = [new_markdown_cell("a"), answer("double", ""), new_markdown_cell("b"), new_markdown_cell("c")]
    cells += [answer("other", ""), new_markdown_cell("d")]
    notebook = new_notebook(cells=cells)
    for cell, cell_id in zip(cells, ["cell-001", None, "intro", "intro", "intro", "not valid!"], strict=True):
        cell.id = cell_id
    del cells[1]["id"]
    write(tmp_path / "a.ipynb", notebook)
    for _ in range(2):  # the same every time, not nbformat's random ones
        ids = [cell["id"] for cell in json.loads(canonical_text(tmp_path / "a.ipynb"))["cells"]]
        assert ids == ["cell-001", "double", "intro", "cell-002", "other", "cell-003"]


def test_an_old_notebook_gets_the_same_form(tmp_path):
    notebook = json.loads(json.dumps(tiny()))
    notebook["nbformat_minor"] = 2
    for cell in notebook["cells"]:
        del cell["id"]
    new = formatted(tmp_path / "a.ipynb", notebook)
    assert (new.nbformat, new.nbformat_minor) == (4, 5)
    assert [cell.source for cell in new.cells] == [cell["source"] for cell in notebook["cells"]]
    assert new.cells[3].id == "double"


ids = st.one_of(st.none(), st.sampled_from(["a", "b", "cell-001", "no good", ""]), st.text(max_size=70))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)


@given(cells=st.lists(st.tuples(st.booleans(), texts, ids), max_size=6))
def test_any_notebook_has_one_form(cells, tmp_path_factory):
    notebook = new_notebook()
    for is_code, source, cell_id in cells:
        cell = (new_code_cell if is_code else new_markdown_cell)(source)
        notebook.cells.append(cell)
        if cell_id is None:
            del cell["id"]
        else:
            cell.id = cell_id
    new = formatted(tmp_path_factory.mktemp("any") / "a.ipynb", copy.deepcopy(notebook))
    assert len({cell.id for cell in new.cells}) == len(cells)
    for cell, (is_code, source, _) in zip(new.cells, cells, strict=True):
        assert cell.source.split() == source.split()
        assert is_code or cell.source == source.rstrip("\n")


def test_check_lists_what_would_change_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.ipynb", tiny())
    write(tmp_path / "bad.ipynb", used())
    assert fmt.run(tmp_path, ["good.ipynb"], check=False) == 0
    before = (tmp_path / "bad.ipynb").read_bytes()
    capsys.readouterr()
    assert fmt.run(tmp_path, ["good.ipynb", "bad.ipynb"], check=True) == 1
    assert capsys.readouterr().out.splitlines()[0] == "bad.ipynb: not in canonical form"
    assert (tmp_path / "bad.ipynb").read_bytes() == before
    assert fmt.run(tmp_path, ["bad.ipynb"], check=False) == 0
    assert fmt.run(tmp_path, ["good.ipynb", "bad.ipynb"], check=True) == 0


def test_an_error_in_one_notebook_leaves_all_as_they_are(tmp_path):
    write(tmp_path / "good.ipynb", used())
    no_points = used()
    del no_points.cells[2].metadata.nbgrader["points"]
    write(tmp_path / "bad.ipynb", no_points)
    before = (tmp_path / "good.ipynb").read_bytes()
    with pytest.raises(CourseError, match="'x_check' has no points"):
        fmt.run(tmp_path, [str(tmp_path / "good.ipynb"), str(tmp_path / "bad.ipynb")], check=False)
    assert (tmp_path / "good.ipynb").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["bad.ipynb", "good.ipynb"]
