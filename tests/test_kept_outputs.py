"""Of what a student's kernel says, a page gets text, pictures and a limited amount of HTML."""

import pytest
from torchgrade.autograde.judging import MIME
from torchgrade.autograde.kept_outputs import MAX_MARKUP, TEXT, TOO_MUCH, UNKNOWN, KeptOutputs


def displayed(data, metadata=None, kept=None):
    """The content of a message that displays `data`, as far as it is kept."""
    content = {"data": data, "metadata": metadata or {}}
    return (kept or KeptOutputs()).fit({"header": {"msg_type": "display_data"}, "content": content})["content"]


def test_a_student_cannot_display_a_verdict():
    assert displayed({MIME: {"kind": "PASSED"}, TEXT: "passed"})["data"] == {TEXT: "passed"}


def test_what_no_page_can_show_is_named():
    assert displayed({"application/vnd.jupyter.widget-view+json": 5})["data"] == {TEXT: UNKNOWN}


def test_html_beyond_the_share_of_a_notebook_is_left_out_and_named():
    kept, half = KeptOutputs(), "x" * (MAX_MARKUP // 2)
    assert [displayed({"text/html": half}, kept=kept)["data"] for _ in range(3)] == [
        {"text/html": half},
        {"text/html": half},
        {TEXT: TOO_MUCH},
    ]


def test_of_the_metadata_only_the_size_of_pictures_is_kept():
    metadata = {"image/png": {"width": 3, "height": "><script>"}, "isolated": True}
    assert displayed({"image/png": "aGk="}, metadata)["metadata"] == {"image/png": {"width": 3}}


@pytest.mark.parametrize("count", ["<b>", [1], {"n": 1}, True])
def test_a_count_is_a_number(count):
    message = {"header": {"msg_type": "stream"}, "content": {"name": "stdout", "text": "", "execution_count": count}}
    with pytest.raises(ValueError, match="a count that is no number"):
        KeptOutputs().fit(message)


@pytest.mark.parametrize("kind", ["comm_open", "status", "input_request", None, ["stream"], "x"])
def test_other_messages_are_not_for_pages(kind):
    assert KeptOutputs().fit({"header": {"msg_type": kind}, "content": {}}) is None
