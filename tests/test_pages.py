"""The pages people read first: every link leads somewhere, every command exists, and the picture is the script's."""

import contextlib
import io
import re
import runpy
from pathlib import Path
from urllib.parse import unquote

import pytest
from torchgrade.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "COURSE_SUMMARY.md")),
    *sorted((ROOT / "grader_env" / "pages").glob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"^make\b(?:[ \t]+([A-Za-z_]+)(?![A-Za-z_]*=))?", re.MULTILINE)
TORCHGRADE = re.compile(r"(?:^|/)torchgrade((?: [a-z]+)*(?: --[a-z-]+)*)", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> str:
    """Blocks and spans of code, one after the other, each beginning a line."""
    return "\n".join(block or span for block, span in CODE.findall(page.read_text(encoding="utf8")))


def broken_links(page: Path) -> list[str]:
    links = [link for link in LINK.findall(page.read_text(encoding="utf8")) if not re.match(r"https?://", link)]
    return [link for link in links if not (page.parent / unquote(link.partition("#")[0])).exists()]


def unknown_targets(page: Path) -> list[str]:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))
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


def test_the_picture_is_what_its_script_draws(tmp_path):
    pages = ROOT / "grader_env" / "pages"
    runpy.run_path(str(pages / "draw_loop.py"))["save"](tmp_path / "loop.svg")
    assert (tmp_path / "loop.svg").read_bytes() == (pages / "loop.svg").read_bytes(), (
        "run `.venv/bin/python grader_env/pages/draw_loop.py`"
    )
