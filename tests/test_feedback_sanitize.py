"""What a student writes cannot run in a browser, and what is harmless stays as it was."""

import pytest
from jinja2 import Environment
from torchgrade.feedback import sanitize


def rendered(markdown, **cell):
    environment = Environment()
    environment.filters["markdown2html"] = sanitize.markdown2html
    return environment.from_string("{{ text | markdown2html }}").render(text=markdown, cell=cell)


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
        "<iframe src='https://example.org'></iframe>",
        "<form action='https://example.org'><input name=password></form>",
        "<div style='position:fixed;top:0'>over everything</div>",
        "<b id='gradebook'>x</b>",
        "[x](javascript:alert(1))",
    ],
)
def test_an_attack_is_disarmed(attack):
    for html in (sanitize.clean_html(attack), rendered(attack)):
        for living in (
            "<script",
            " onerror",
            "<svg",
            "<iframe",
            "<form",
            'href="javascript',
            "data:",
            "position",
            " id=",
        ):
            assert living not in html, html


@pytest.mark.parametrize(
    "markdown",
    [
        "# Title",
        "a paragraph with **bold** and `x < y`",
        "> a quotation",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "<details><summary>Hint</summary>Look at dim 1.</details>",
        "$a_1 + b_2$",
        "- [ ] open\n- [x] done",
        "[a link](https://pytorch.org)",
    ],
)
def test_ordinary_text_is_shown_as_it_is(markdown):
    assert "&lt;" not in rendered(markdown).replace("x &lt; y", "")


def test_a_pasted_picture_is_shown():
    html = rendered("![p](attachment:p.png)", attachments={"p.png": {"image/png": "iVBORw0KGgo="}})
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in html


def test_the_text_after_a_heading_is_no_link():
    assert "<a" not in rendered("### Exercise\ndifficulty 2/5\n\nWrite `f`.")
