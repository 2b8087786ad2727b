"""Where values are wrong is said if it is a pattern; of a hidden check only one of a few patterns is."""

import base64
import io
import itertools

import matplotlib.image
import pytest
import torch
from nbformat.v4 import new_notebook
from small_course import answer, graded
from torchgrade import check
from torchgrade.autograde.judging import outputs_of
from torchgrade.check.failures import WrongValues
from torchgrade.check.timing.growth import Growth
from torchgrade.check.where import GENERAL, LEAST, MOST, where
from torchgrade.feedback.hide import HideTests
from torchgrade.judge import error_map
from torchgrade.judge.cell import _with_picture
from torchgrade.judge.verdict import Kind, Verdict

SKETCH = " (a sketch: not its true size)"
ONES = torch.ones(8, 6, dtype=torch.bool)


def rows(*numbers, size=(8, 6)):
    found = torch.zeros(size, dtype=torch.bool)
    found[list(numbers)] = True
    return found


def border(size):
    found = torch.ones(size, dtype=torch.bool)
    found[1:-1, 1:-1] = False
    return found


PATTERNS = [
    (rows(7), "row 7; right: rows 0 to 6", "only the last row"),
    (rows(0, 1), "rows 0 to 1; right: rows 2 to 7", "only the first rows"),
    (rows(3), "row 3; right: rows 0 to 2, rows 4 to 7", "one row in between"),
    (rows(0, 7), "row 0, row 7; right: rows 1 to 6", "only some of the rows"),
    (rows(5, size=(6, 8)).T, "column 5; right: columns 0 to 4", "only the last column"),
    (ONES.triu(1), "only above the diagonal", "only above the diagonal"),
    (ONES.tril(), "only on and below the diagonal", "only on and below the diagonal"),
    (ONES.triu() & ONES.tril(), "only on the diagonal", "only on the diagonal"),
    (border((8, 6)), "only at the border", "only at the border"),
]


@pytest.mark.parametrize(("wrong", "words", "in_general"), PATTERNS)
def test_a_pattern_is_named_and_drawn(wrong, words, in_general):
    found = where(wrong.expand(2, 3, *wrong.shape))
    assert found is not None
    assert (found.words, found.in_general) == (f"wrong: {words}", f"wrong: {in_general}{SKETCH}")
    assert found.cells == tuple("".join("01"[cell] for cell in row) for row in wrong.int().tolist())
    assert len(found.drawing) == len(found.drawing[0]) == GENERAL


def test_some_values_of_a_pattern_may_be_right_by_chance_but_none_beside_it_wrong():
    wrong = torch.ones(20, 20, dtype=torch.bool).triu(1)
    wrong[2, 5:9] = False
    assert "above the diagonal" in where(wrong).words
    wrong[9, 0] = True
    assert where(wrong) is None


@pytest.mark.parametrize(
    "wrong",
    [
        ONES,
        ~ONES,
        torch.eye(LEAST - 1, dtype=torch.bool),
        torch.ones(9, dtype=torch.bool),
        rows(0, 2, 4, 6),
        torch.zeros(0, 5, 5, dtype=torch.bool),
    ],
)
def test_what_is_no_pattern_is_not_drawn(wrong):
    assert where(wrong) is None


def test_a_large_tensor_makes_a_small_picture():
    found = where(rows(999, size=(1000, 700)))
    assert len(found.cells) == len(found.cells[0]) == MOST and found.cells[-1] == "1" * MOST
    assert found.cells[-2] == "0" * MOST
    assert len(error_map.png(found.cells)) < 2000


def test_a_hidden_check_can_tell_no_more_than_five_bits():
    """Whatever the student's code makes wrong on purpose: all masks of 3x3, stripes and triangles of larger ones."""
    told = set()
    masks = [torch.tensor(bits).reshape(3, 3).bool() for bits in itertools.product([0, 1], repeat=9)]
    for size in (3, 5, 8):
        for chosen in itertools.product([False, True], repeat=size):
            stripes = torch.tensor(chosen)[:, None].expand(size, size)
            masks += [stripes, stripes.T]
    for mask in masks + [one for one, _, _ in PATTERNS]:
        found = where(mask)
        told.add((found.in_general, found.drawing) if found else None)
    assert 10 < len(told) <= 32


def failure_of(got, expected):
    with pytest.raises(WrongValues) as error:
        check.close(got, expected, "the scores")
    return error.value


def shown(hidden):
    expected = torch.full((8, 6), 7.654321)
    got = expected.clone()
    got[7] += 1
    error = failure_of(got, expected)
    source = "check.close(got, expected)"
    if hidden:
        source = f"# After you submit: more.\n### BEGIN HIDDEN TESTS\n{source}\n### END HIDDEN TESTS"
    verdict = Verdict("f", Kind.FAILED, str(error), type(error).__name__)
    cell = graded("f", 1, source)
    cell.outputs = outputs_of(_with_picture(verdict, error, hidden=hidden))
    HideTests().preprocess(new_notebook(cells=[answer("g", "pass"), cell]), {})
    (image,) = [output for output in cell.outputs if "image/png" in output.get("data", {})]
    texts = (str(one.get("evalue") or one.get("text") or "") for one in cell.outputs)
    said = "\n".join(filter(None, texts))
    return said, image.metadata["image/png"]["alt"], matplotlib.image.imread(_file(image.data["image/png"]))


def _file(data):
    return io.BytesIO(base64.b64decode(data))


def test_a_visible_check_shows_the_rows_by_number():
    said, alt, pixels = shown(hidden=False)
    assert said.count("wrong: row 7; right: rows 0 to 6") == 1 and alt in said
    assert pixels[-5, 5] < 0.3 < pixels[5, 5]  # the last row is dark, the first is not


def test_a_hidden_check_shows_the_pattern_and_no_number():
    said, alt, pixels = shown(hidden=True)
    assert alt == f"wrong: only the last row{SKETCH}" and said == f"Hidden checks: a value is wrong.\n{alt}."
    assert not any(digit in said for digit in "012345678")
    assert pixels[-5, 5] < 0.3 < pixels[5, 5]


def test_the_growth_of_memory_is_drawn_with_what_is_allowed():
    growth = Growth(12 << 20, 48 << 20, 2.6)
    error = WrongValues("secret sizes 2048")
    error.shows = growth
    verdict = _with_picture(Verdict("f", Kind.FAILED, "secret sizes 2048", "WrongMethod"), error, hidden=True)
    assert verdict.in_words == (
        "Memory grows 4.0-fold, from 12 to 48 MiB, when the size doubles; at most 2.6-fold is asked for"
    )
    assert matplotlib.image.imread(_file(verdict.picture)).std() > 0.05  # something is drawn
