"""HTML that students wrote, made safe to open: for themselves, for TAs, on the hub's own address.

nbconvert can sanitize (`HTMLExporter.sanitize_html`), but its list of tags drops paragraphs and tables, and nbgrader's
templates do not sanitize text cells at all. These two filters take the place of nbconvert's, in every template.
"""

import re
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath

BLOCKS = {"details", "div", "dd", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "p", "pre", "summary"}
INLINE = {"br", "del", "kbd", "mark", "s", "small", "span", "sub", "sup", "u"}
TABLES = {"caption", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
TAGS = bleach.ALLOWED_TAGS | BLOCKS | INLINE | TABLES
ATTRIBUTES = ("align", "alt", "class", "colspan", "height", "open", "rowspan", "start", "style", "title", "width")
WEB = re.compile(r"(https?://|mailto:|#)", flags=re.IGNORECASE)
PICTURE = re.compile(r"(https?://|data:image/(png|jpeg|gif|webp);base64,)", flags=re.IGNORECASE)
SCRIPT_OR_STYLE = re.compile(r"<(script|style)\b.*?</\1\s*>", flags=re.IGNORECASE | re.DOTALL)
TASK_BOX = re.compile(r'<input class="task-list-item-checkbox"[^>]*>')
STYLES = CSSSanitizer(allowed_css_properties=["color", "background-color", "font-weight", "text-align", "width"])


def clean_html(html: Any) -> str:
    """`html` with harmless tags only; any other tag shows as text."""
    text = html.decode() if isinstance(html, bytes) else str(html)
    return bleach.clean(
        SCRIPT_OR_STYLE.sub("", text),  # only so that their text does not show: bleach disarms what is left
        tags=TAGS,
        attributes=_is_harmless,
        protocols={"http", "https", "mailto", "data"},
        css_sanitizer=STYLES,
    )


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """A text cell as harmless HTML, with the pictures pasted into it."""
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = IPythonRenderer(escape=False, attachments=attachments, exclude_anchor_links=True)
    try:
        html = MarkdownWithMath(renderer=renderer).render(source)
    except InvalidNotebook:  # a picture is missing, as when a cell was copied without it
        html = MarkdownWithMath(renderer=renderer).render(source.replace("attachment:", "missing-picture-"))
    return clean_html(TASK_BOX.sub(lambda box: "☑ " if "checked" in box.group() else "☐ ", html))


def _is_harmless(tag: str, name: str, value: str) -> bool:
    if tag == "a" and name == "href":
        return bool(WEB.match(value))
    if tag == "img" and name == "src":
        return bool(PICTURE.match(value))
    return name in ATTRIBUTES
