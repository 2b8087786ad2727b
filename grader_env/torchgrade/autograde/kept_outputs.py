"""What is kept of what a student's kernel says: the kinds of output that a page can show, and not without end."""

from typing import Any

from torchgrade.autograde.plain import plain
from torchgrade.kernels.kernel import Message

MESSAGES = {"stream", "error", "display_data", "update_display_data", "execute_result", "execute_input", "clear_output"}
TEXT = "text/plain"
# Making these harmless takes seconds per megabyte, and Markdown at worst far more.
MARKUP = ("text/html", "text/markdown", "text/latex", "image/svg+xml")
PICTURES = ("image/png", "image/jpeg")
MAX_MARKUP = 1_000_000  # characters of a notebook; a table of 100 rows has 10,000
TOO_MUCH = "[left out: this notebook displays more HTML than a page can hold]"
UNKNOWN = "[left out: a kind of output that a page cannot show]"


class KeptOutputs:
    """Of one notebook."""

    def __init__(self) -> None:
        self._markup_left = MAX_MARKUP

    def fit(self, message: Message) -> Message | None:
        """`message` with what is kept of it, for nbclient; None if nothing is. ValueError if it makes no sense."""
        kind = message["header"].get("msg_type")
        if not isinstance(kind, str) or kind not in MESSAGES:
            return None
        content = plain(message["content"])
        if type(content.get("execution_count")) not in (int, type(None)):  # pages show it as it is
            raise ValueError("a count that is no number")
        if isinstance(content.get("data"), dict):
            content["data"] = self._data(content["data"])
            content["metadata"] = _sizes(content.get("metadata"))
        return {**message, "msg_type": kind, "content": content}

    def _data(self, data: dict[str, Any]) -> dict[str, Any]:
        kept = {kind: data[kind] for kind in (TEXT, *MARKUP, *PICTURES) if kind in data}
        for kind in MARKUP:
            size = len("".join(kept.get(kind, "")))
            if size > self._markup_left:
                kept = {TEXT: TOO_MUCH}
                break
            self._markup_left -= size
        return kept or {TEXT: UNKNOWN}


def _sizes(metadata: Any) -> dict[str, dict[str, int]]:
    """The widths and heights of pictures."""
    found = {}
    for kind in PICTURES:
        if isinstance(metadata, dict) and isinstance(sizes := metadata.get(kind), dict):
            found[kind] = {side: sizes[side] for side in ("width", "height") if type(sizes.get(side)) is int}
    return found
