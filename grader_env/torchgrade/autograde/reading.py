"""Read a submitted notebook as data: nothing in it but its cells is believed, and no file can stop the batch."""

import itertools
import json
import os
import re
from collections.abc import Iterable
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat.corpus.words import generate_corpus_id
from nbformat.v4 import new_markdown_cell, new_notebook

from torchgrade.autograde.plain import TooDeep, plain
from torchgrade.autograde.ready import make_ready

MAX_CHARACTERS = 50_000_000
MAX_CELLS = 1000  # ten times a lesson's
MAX_TEXT_CELL = (
    20_000  # characters of a text cell, seven times a lesson's longest: Markdown takes time, at worst squared
)
MAX_TEXT = 200_000  # of all text cells
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Unreadable(Exception):
    """The file is not a notebook. The message completes "your file could not be read: ..."."""


class SubmissionExporter(NotebookExporter):
    """nbgrader's exporter for autograding, with a reader of submissions that never fails.

    An unreadable file becomes a notebook that says so. Every cell of the lesson is then missing and put back empty, so
    the submission earns nothing, its author gets feedback, and the batch goes on.

    nbgrader converts twice: the submission, then the repaired notebook, which is ours and read as any other.
    """

    def __init__(self, parent: Any = None, **kw: Any) -> None:
        super().__init__(parent=parent, **kw)
        if parent is not None:
            make_ready(parent)  # nbgrader makes its exporter after it has found the submissions, and nothing in between

    def from_file(self, file_stream: Any, resources: Any = None, **kw: Any) -> tuple[Any, Any]:
        if self.parent is not None and not self.parent._sanitizing:
            return super().from_file(file_stream, resources=resources, **kw)
        return self.from_notebook_node(self.read(file_stream), resources=resources, **kw)

    def read(self, file_stream: Any) -> Any:
        """A submission; whatever the file holds, a notebook."""
        try:
            if os.path.islink(file_stream.name):
                raise Unreadable("it is a link, and links are not followed")
            return read_submission(file_stream)
        except Unreadable as error:
            self.log.warning("%s: this notebook could not be read (%s); graded as empty.", file_stream.name, error)
            return new_notebook(cells=[new_markdown_cell(f"> **Note:** your file could not be read: {error}.")])


def read_submission(file_stream: Any) -> Any:
    """The notebook (nbformat 4) in an open file; Unreadable if there is none."""
    try:
        text = file_stream.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise Unreadable("it is not text") from None
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"it is longer than {MAX_CHARACTERS:,} characters; clear its outputs")
    if not text.strip():
        raise Unreadable("it is empty")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON, or cut off") from None
    if isinstance(data, dict) and data.get("nbformat") in (1, 2, 3):
        data = _upgraded(text)
    if not isinstance(data, dict) or not isinstance(data.get("cells"), list):
        raise Unreadable("it holds no notebook")
    return _rebuilt(data)


def _upgraded(text: str) -> Any:
    try:
        return nbformat.reads(text, as_version=4)
    except Exception as error:  # nbformat raises whatever its converters run into
        raise Unreadable(f"it is an old notebook that cannot be upgraded ({type(error).__name__})") from None


def _rebuilt(data: dict[str, Any]) -> Any:
    """The notebook anew, from the well-formed parts of `data`."""
    notebook = new_notebook()
    seen: set[str] = set()
    cells = (cell for item in data["cells"] if (cell := _cell(item)) is not None)
    for cell in itertools.islice(cells, MAX_CELLS):
        if cell.id not in seen:
            seen.add(cell.id)
        else:
            cell.id = generate_corpus_id()
        notebook.cells.append(cell)
    if next(cells, None) is not None:
        notebook.cells.append(
            new_markdown_cell(f"> **Note:** your notebook has more than {MAX_CELLS:,} cells: cut here.")
        )
    _shorten(cell for cell in notebook.cells if cell.cell_type != "code")
    return notebook


def _shorten(text_cells: Iterable[Any]) -> None:
    left = MAX_TEXT
    for cell in text_cells:
        length, allowed = len(cell.source), min(MAX_TEXT_CELL, left)
        if length > allowed:
            cell.source = f"{cell.source[:allowed]}\n\n> **Note:** cut here; your text has {length:,} characters."
        left -= min(length, allowed)


def _cell(item: Any) -> Any:
    """A cell, or None if `item` is nothing like one."""
    item = item if isinstance(item, dict) else {}
    source = item.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    kind = item.get("cell_type")
    if kind not in ("code", "markdown", "raw") or not isinstance(source, str):
        return None
    claimed = item.get("id")
    cell_id = claimed if isinstance(claimed, str) and CELL_ID.fullmatch(claimed) else generate_corpus_id()
    # Not new_code_cell and the like: they validate each cell, which costs more than everything else here.
    parts = {"id": cell_id, "cell_type": kind, "source": plain(source), "metadata": _dict(item.get("metadata"))}
    cell = nbformat.from_dict(parts | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    if kind == "markdown" and (attachments := _attachments(item.get("attachments"))):
        cell.attachments = attachments
    return cell


def _attachments(value: Any) -> Any:
    """Pictures pasted into a text cell: {file name: {MIME type: base64 text}}."""
    pictures = {name: _pictures(bundle) for name, bundle in _dict(value).items()}
    return nbformat.from_dict({name: bundle for name, bundle in pictures.items() if bundle})


def _pictures(bundle: Any) -> dict[str, str]:
    return {kind: text for kind, text in _dict(bundle).items() if kind.startswith("image/") and isinstance(text, str)}


def _dict(value: Any) -> dict[str, Any]:
    """`value` if it is a dict that can be used."""
    try:
        return plain(value) if isinstance(value, dict) else {}
    except TooDeep:
        return {}
