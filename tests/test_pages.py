"""The pages people read first: every link leads somewhere, every command exists, and the picture is the script's."""

import contextlib
import io
import re
import runpy
from pathlib import Path
from urllib.parse import unquote

import pytest
from torchgrade.cli import main
from torchgrade.lessons.master import lesson_names, nbgrader, read_master

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "COURSE_SUMMARY.md")),
    *sorted((ROOT / "grader_env" / "pages").glob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"^make\b(?:[ \t]+([A-Za-z_-]+)(?![A-Za-z_-]*=))?", re.MULTILINE)
TORCHGRADE = re.compile(r"(?:^|/)torchgrade((?: [a-z]+)*(?: --[a-z-]+)*)", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> str:
    """Blocks and spans of code, one after the other, each beginning a line."""
    return "\n".join(block or span for block, span in CODE.findall(page.read_text(encoding="utf8")))


def broken_links(page: Path) -> list[str]:
    links = [link for link in LINK.findall(page.read_text(encoding="utf8")) if not re.match(r"https?://", link)]
    return [link for link in links if not (page.parent / unquote(link.partition("#")[0])).exists()]


def unknown_targets(page: Path) -> list[str]:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))
    return [target for target in MAKE.findall(code(page)) if target and target not in targets]


def unknown_commands(page: Path) -> list[str]:
    unknown = []
    for words in {found.strip() for found in TORCHGRADE.findall(code(page))}:
        *command, option = words.split() if "--" in words else [*words.split(), ""]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
            main([*command, "--help"])
        usage = f"usage: torchgrade {' '.join(command)}".rstrip() + " [-h]"
        if not said.getvalue().startswith(usage) or option not in said.getvalue():
            unknown.append(words)
    return unknown


@each_page
def test_every_link_of_the_repository_leads_to_a_file(page):
    assert broken_links(page) == []


@each_page
def test_every_target_of_make_exists(page):
    assert unknown_targets(page) == []


@each_page
def test_every_command_of_torchgrade_exists(page):
    assert unknown_commands(page) == []


def test_what_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "[a](missing.md) [b](page.md#top) [c](https://example.org)\n`make nonsense` `make TORCH_INDEX=X` `make`\n"
        "```\nmake nothing\n.venv/bin/torchgrade lesson stats --nope\n```\n"
        "`torchgrade lesson dance` `torchgrade lesson fmt LESSON` `torchgrade lesson leaks --feedback`\n",
        encoding="utf8",
    )
    assert broken_links(page) == ["missing.md"]
    assert sorted(unknown_targets(page)) == ["nonsense", "nothing"]
    assert sorted(unknown_commands(page)) == ["lesson dance", "lesson stats --nope"]


def test_each_reader_has_a_page_and_the_readme_is_short():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    for reader in ("student", "instructor", "ta", "operator"):
        assert f"(grader_env/pages/{reader}.md)" in readme
    assert len(readme.splitlines()) <= 60


@pytest.mark.parametrize("name", ["loop", "map"])
def test_a_picture_is_what_its_script_draws(name, tmp_path):
    pages = ROOT / "grader_env" / "pages"
    runpy.run_path(str(pages / f"draw_{name}.py"))["save"](tmp_path / f"{name}.svg")
    assert (tmp_path / f"{name}.svg").read_bytes() == (pages / f"{name}.svg").read_bytes(), (
        f"run `.venv/bin/python grader_env/pages/draw_{name}.py`"
    )


def promised_cells() -> list[tuple[str, str]]:
    """(lesson's number, name of a cell) of the table of promises."""
    text = (ROOT / "COURSE_SUMMARY.md").read_text(encoding="utf8")
    table = text.partition("## Each promise")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[-1] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    return [
        (part[:2], name)
        for row in rows
        for part in re.findall(r"\d\d (?:`[\w-]+`(?:, )?)+", row)
        for name in re.findall(r"`([\w-]+)`", part)
    ]


def test_every_promise_names_cells_that_exist():
    cells: dict[str, set[str]] = {}
    for name in lesson_names(ROOT):
        notebook = read_master(ROOT, name).notebook
        cells[name[:2]] = {cell.id for cell in notebook.cells} | {
            nbgrader(cell).get("grade_id") for cell in notebook.cells
        }
    promised = promised_cells()
    assert {number for number, _ in promised} == cells.keys(), "every lesson keeps a promise"
    assert [(number, name) for number, name in promised if name not in cells[number]] == []


def test_the_glossary_is_sorted_and_names_lessons_that_exist():
    text = (ROOT / "grader_env" / "pages" / "glossary.md").read_text(encoding="utf8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    words = [word.split(",")[0].lower() for word, _, _ in rows]
    assert words == sorted(words)
    assert {lesson for _, _, lesson in rows} <= {name[:2] for name in lesson_names(ROOT)}
