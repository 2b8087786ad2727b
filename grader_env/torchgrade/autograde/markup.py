"""A limit on what pages have to make harmless: HTML takes seconds per megabyte, and Markdown at worst far more."""

from typing import Any

KINDS = ("text/html", "text/markdown", "text/latex", "image/svg+xml")
MAX_CHARACTERS = 1_000_000  # of a notebook; a table of 100 rows has 10,000
LEFT_OUT = "[left out: this notebook displays more HTML than a page can hold]"


class Markup:
    """What is left of a notebook's share."""

    def __init__(self) -> None:
        self._left = MAX_CHARACTERS

    def limit(self, content: dict[str, Any]) -> None:
        """Take what a message displays beyond the share out of its content."""
        data = content.get("data")
        for kind in KINDS:
            if isinstance(data, dict) and kind in data:
                size = len("".join(data[kind]))
                if size <= self._left:
                    self._left -= size
                else:
                    data["text/plain"] = LEFT_OUT
                    del data[kind]
