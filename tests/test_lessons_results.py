"""The rule that a result of `check.run` is checked before anything is done with it: what it refuses and allows."""

import pytest
from spoiled_lesson import LESSON, inserted, spoiled
from torchgrade.lessons.master import read_master
from torchgrade.lessons.rules_results import result_is_checked_before_use

RUN = "check.run(lambda: double(x))"
PAIR = "def pair():\n    return double(x), double(-x)\n\n\n"
NAMED = "def named():\n    grads = {}\n    grads['x'] = double(x)\n    return grads\n\n\n"
TOO_EARLY = {
    "indexed": f"got = {RUN}\ncheck.close(got[0], 1, 'the first')",
    "indexed at once": f"check.close({RUN}[0], 1, 'the first')",
    "a method": f"got = {RUN}\ncheck.close(got.sum(), 1, 'the sum')",
    "computed with": f"check.close({RUN} + 1, 1, 'one more')",
    "computed with in place": f"got = {RUN}\ngot += 1\ncheck.close(got, 1, 'one more')",
    "compared": f"got = {RUN}\ncheck.close(bool((got > 0).all()), True, 'all positive')",
    "unpacked": f"one, other = {RUN}\ncheck.close(one, other, 'the same')",
    "iterated over": f"for one in {RUN}:\n    check.close(one, 1, 'each')",
    "iterated over in a list": f"check.close([one for one in {RUN}], [1], 'each')",
    "zipped": f"for one, other in zip({RUN}, [1], strict=True):\n    check.close(one, other, 'each')",
    "given to torch": f"got = {RUN}\ncheck.close(torch.equal(got, got), True, 'the same')",
    "given to a helper": f"check.close(help({RUN}), True, 'helped')",
    "a part indexed": f"{PAIR}one, other = check.run(pair)\ncheck.close(one[:1], other[:1], 'the first')",
    "a part of a part": f"{PAIR}got = check.run(pair)\ncheck.close(got[0][0], 1, 'the first')",
    "a value of a dict": f"{NAMED}for name, grad in check.run(named).items():\n    check.close(grad.sum(), 1, name)",
    "in a branch": f"got = {RUN}\nif got:\n    check.close(got, 1, 'one')",
    "in a with": f"with torch.no_grad():\n    got = {RUN}\n    got.sum()",
    "an answer's own list": "def all_of():\n    return double(x)\n\n\na, b = check.run(all_of)",
    "collected, then used": f"all_of = []\nall_of.append({RUN})\ncheck.close(torch.stack(all_of), x, 'all')",
}
FINE = {
    "checked at once": f"check.close({RUN}, x, 'twice')",
    "checked, then used": f"got = {RUN}\ncheck.close(got, x, 'twice')\ncheck.close(got[0], x[0], 'the first')",
    "with a shape": f"got = {RUN[:-1]}, shape=(3,))\ncheck.close(got.sum(), 1, 'the sum')",
    "a structure of the cell's": f"{PAIR}one, other = check.run(pair)\ncheck.close(one, other, 'the same')",
    "a structure of a lambda": "one, other = check.run(lambda: (double(x), 1))\ncheck.close(one, other, 'the same')",
    "a part": f"{PAIR}got = check.run(pair)\ncheck.close(got[1], 1, 'the second')",
    "zipped parts": f"{PAIR}for got, want in zip(check.run(pair), (x, x)):\n    check.close(got, want, '')",
    "names of a dict": f"{NAMED}grads = check.run(named)\ncheck.close(sorted(grads), ['x'], 'the names')",
    "values of a dict": f"{NAMED}for name, grad in check.run(named).items():\n    check.close(grad, x, name)",
    "numbered parts": f"{PAIR}for i, got in enumerate(check.run(pair)):\n    check.close(got, x[i + 1], '')",
    "a helper that builds": f"{PAIR}for got in check.run(lambda: pair()):\n    check.close(got, x, '')",
    "guarded": f"got = {RUN}\ncheck.close(got is not None and bool(got.max() > 0), True, 'it is there')",
    "guarded by type": f"got = {RUN}\ncheck.close(isinstance(got, torch.Tensor) and got.ndim == 1, True, 'a row')",
    "collected": f"all_of = [{RUN} for _ in range(2)]\nfor got in all_of:\n    check.close(got, x, '')",
    "printed": f"got = {RUN}\nprint(got, f'{{got}}')\ncheck.close(got, x, 'twice')",
    "inside the next question": f"got = {RUN}\ncheck.close(check.run(lambda: double(got[0])), 4, 'twice twice')",
    "another value of the name": f"got = {RUN}\ngot = torch.zeros(3)\ncheck.close(got[0], got[1], 'zeros')",
    "no result at all": "made = torch.zeros(3)\ncheck.close(made[0], made.sum(), 'zeros')",
}
START = "# Check 8.1\nimport torch\nfrom torchgrade import check\n\nx = torch.ones(3)\n"


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """What the rule finds in a graded cell of this source; the lesson around it is made once."""
    master = read_master(spoiled(tmp_path_factory.mktemp("course"), inserted(0)), LESSON)

    def of(source: str) -> list[str]:
        cell = master.graded["double_check"]
        cell.source = START + source
        return [finding.text(master) for finding in result_is_checked_before_use(master)]

    return of


@pytest.mark.parametrize("source", TOO_EARLY.values(), ids=TOO_EARLY)
def test_a_result_used_before_it_is_checked_is_named_with_its_line(findings, source):
    first, *_ = findings(source)
    assert "08_tiny.ipynb: cell double_check: line " in first
    assert "a result of check.run" in first and "before it is checked" in first
    assert "check.close first, or give check.run a shape=" in first


@pytest.mark.parametrize("source", FINE.values(), ids=FINE)
def test_a_result_that_is_checked_first_is_left_alone(findings, source):
    assert findings(source) == []
