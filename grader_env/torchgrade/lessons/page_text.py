"""The text of an HTML page, line by line, as a reader could find it: tags gone, highlighted code in one piece."""

import base64
import binascii
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote

INLINE = {"a", "abbr", "b", "code", "del", "em", "i", "kbd", "mark", "s", "small", "span", "strong", "sub", "sup", "u"}
NOT_PROSE = {"script", "style"}
EMBEDDED = re.compile(r"data:[^,]*,", flags=re.IGNORECASE)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.concealed: list[str] = []  # attributes, comments: not read, but there
        self.programs: list[str] = []
        self.embedded: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in NOT_PROSE else ""
        if tag not in INLINE:
            self.shown.append("\n")
        for _, value in attrs:
            if value and (found := EMBEDDED.match(value)):
                self.embedded.append(f"\n{_decoded(found.group(), value[found.end() :])}\n")
            elif value:
                self.concealed.append(f"\n{value}\n")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        if tag not in INLINE:
            self.shown.append("\n")

    def handle_data(self, data: str) -> None:
        (self.programs if self._inside else self.shown).append(data)

    def handle_comment(self, data: str) -> None:
        self.concealed.append(f"\n{data}\n")


@dataclass(frozen=True)
class PageText:
    """shown: what a reader sees; concealed: attributes and comments; programs: scripts and styles; embedded: files"""

    shown: str
    concealed: str = ""
    programs: str = ""
    embedded: str = ""

    @property
    def all(self) -> str:
        return "\n".join((self.shown, self.concealed, self.programs, self.embedded))


def page_text(html: str) -> PageText:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return PageText(*map("".join, (parser.shown, parser.concealed, parser.programs, parser.embedded)))


def _decoded(head: str, data: str) -> str:
    """What an embedded file holds, as far as it is text. head: "data:image/png;base64,"."""
    if not head.lower().endswith(";base64,"):
        return unquote(data)
    try:
        return base64.b64decode(data).decode("utf8", errors="ignore")
    except (binascii.Error, ValueError):
        return data
