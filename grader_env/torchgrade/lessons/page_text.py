"""The text of an HTML page, line by line, as a reader could find it: tags gone, highlighted code in one piece."""

from html.parser import HTMLParser

INLINE = {"a", "abbr", "b", "code", "del", "em", "i", "kbd", "mark", "s", "small", "span", "strong", "sub", "sup", "u"}
NOT_PROSE = {"script", "style"}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.concealed: list[str] = []  # comments, attributes, scripts: not read, but there
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in NOT_PROSE else ""
        if tag not in INLINE:
            self.shown.append("\n")
        self.concealed += [f"\n{value}\n" for _, value in attrs if value and not value.startswith("data:")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        if tag not in INLINE:
            self.shown.append("\n")

    def handle_data(self, data: str) -> None:
        (self.concealed if self._inside else self.shown).append(data)

    def handle_comment(self, data: str) -> None:
        self.concealed.append(f"\n{data}\n")


def page_text(html: str) -> tuple[str, str]:
    """(what a reader sees, what else is in the page: attributes, comments, scripts)."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    return "".join(parser.shown), "".join(parser.concealed)
