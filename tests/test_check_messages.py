"""What a student reads when a check says no: the short message alone, in a notebook as under a grader."""

import pytest
from check_cells import Outcome, Run, cell, in_a_notebook, judged
from torchgrade.check import CellError, CheckFailed


@pytest.fixture(params=[in_a_notebook, judged])
def outcome(request) -> Run:
    start = "# Check 7.2 (1 point).\nfrom torchgrade import check\n"
    return lambda answer, test: request.param(answer, start + cell(test))


STUB = "def attention(q):\n    raise NotImplementedError()"
ASK = "check.run(lambda: attention(1))"

# The student's cell, the test cell, the class of the failure, all that is shown
SHOWN = {
    "an unfilled function": (STUB, ASK, "NotAnswered", "Exercise 7.2: not answered yet"),
    "an unfilled function without parentheses": (
        "def attention(q):\n    raise NotImplementedError",
        ASK,
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "an unfilled method": (
        """
            import torch
            class attention(torch.nn.Module):
                def forward(self, x):
                    # your code
                    raise NotImplementedError()
        """,
        "check.run(lambda: attention()(1))",
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "an unfilled backward": (
        """
            import torch
            class Square(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * x
                @staticmethod
                def backward(ctx, g):
                    raise NotImplementedError()
        """,
        """
            import torch
            x = torch.ones(1, requires_grad=True)
            check.run(lambda: Square.apply(x).backward())
        """,
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "an unfilled function that should raise": (
        STUB,
        "check.raises(ValueError, lambda: attention(-1), 'a negative size')",
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "an unfilled function that should raise exactly that": (
        STUB,
        "check.raises(NotImplementedError, lambda: attention(-1), 'a negative size')",
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "an unfilled function watched for what it calls": (
        STUB,
        "check.forbids('attention', 'softmax', 'build it', call=lambda: attention(1))",
        "NotAnswered",
        "Exercise 7.2: not answered yet",
    ),
    "a name that is nowhere": (
        "",
        ASK,
        "StudentRaised",
        "name 'attention' is not defined. Run the cell that defines it; did that cell stop with an error?",
    ),
    "an error in the student's code": (
        "def attention(q):\n    return q / 0",
        ASK,
        "StudentRaised",
        "Your code stopped with ZeroDivisionError: division by zero\n  in attention, line 2 of its cell: return q / 0",
    ),
    "an error in a method": (
        """
            class Net:
                def forward(self, q):
                    return [][q]
            def attention(q):
                return Net().forward(q)
        """,
        ASK,
        "StudentRaised",
        "Your code stopped with IndexError: list index out of range\n"
        "  in Net.forward, line 3 of its cell: return [][q]",
    ),
    "an error inside torch": (
        """
            import torch
            def attention(q):
                return torch.ones(2).view(3)
        """,
        ASK,
        "StudentRaised",
        "Your code stopped with RuntimeError: shape '[3]' is invalid for input of size 2\n"
        "  in attention, line 3 of its cell: return torch.ones(2).view(3)",
    ),
    "torch's own not implemented is not a stub": (
        """
            import torch
            def attention(q):
                return torch.nn.Module()(q)
        """,
        ASK,
        "StudentRaised",
        'Your code stopped with NotImplementedError: Module [Module] is missing the required "forward" function\n'
        "  in attention, line 3 of its cell: return torch.nn.Module()(q)",
    ),
    "a library's not implemented without a text is not a stub": (
        """
            import asyncio
            def attention(q):
                asyncio.AbstractEventLoop().stop()
        """,
        ASK,
        "StudentRaised",
        "Your code stopped with NotImplementedError\n"
        "  in attention, line 3 of its cell: asyncio.AbstractEventLoop().stop()",
    ),
    "a student's not implemented with a text is not a stub": (
        "def attention(q):\n    raise NotImplementedError('no masks')",
        ASK,
        "StudentRaised",
        "Your code stopped with NotImplementedError: no masks\n"
        "  in attention, line 2 of its cell: raise NotImplementedError('no masks')",
    ),
    "a name missing in the student's code": (
        "def attention(q):\n    return qq",
        ASK,
        "StudentRaised",
        "Your code stopped with NameError: name 'qq' is not defined\n  in attention, line 2 of its cell: return qq",
    ),
    "an exception without a text": (
        "def attention(q):\n    assert q > 1",
        ASK,
        "StudentRaised",
        "Your code stopped with AssertionError\n  in attention, line 2 of its cell: assert q > 1",
    ),
    "an exception that cannot show itself": (
        """
            class Mute(Exception):
                def __str__(self):
                    raise ValueError
            def attention(q):
                raise Mute
        """,
        ASK,
        "StudentRaised",
        "Your code stopped with Mute\n  in attention, line 5 of its cell: raise Mute",
    ),
    "an exception with a text that cannot be printed": (
        ("def attention(q):\n    raise ValueError('a \\ud800\\n  b')"),
        ASK,
        "StudentRaised",
        "Your code stopped with ValueError: a \\ud800 b\n"
        "  in attention, line 2 of its cell: raise ValueError('a \\ud800\\n b')",
    ),
    "an exit": (
        "def attention(q):\n    raise SystemExit(0)",
        ASK,
        "StudentRaised",
        "Your code stopped with SystemExit: 0\n  in attention, line 2 of its cell: raise SystemExit(0)",
    ),
    "an exception outside the usual tree": (
        """
            class Quit(BaseException):
                pass
            def attention(q):
                raise Quit('bye')
        """,
        ASK,
        "StudentRaised",
        "Your code stopped with Quit: bye\n  in attention, line 4 of its cell: raise Quit('bye')",
    ),
    "an error in the probe, after the student returned": (
        """
            def attention(q):
                q
        """,
        "check.run(lambda: attention(1).sum())",
        "StudentRaised",
        "Your code stopped with AttributeError: 'NoneType' object has no attribute 'sum'",
    ),
    "no error where one was asked for": (
        "def attention(q):\n    return q",
        "check.raises(ValueError, lambda: attention(-1), 'a negative size', hint='see 7.1')",
        "DidNotRaise",
        "a negative size: expected ValueError, but the code returned without an error.\n  hint: see 7.1",
    ),
    "another error than asked for": (
        "def attention(q):\n    raise KeyError(q)",
        "check.raises(ValueError, lambda: attention(-1), 'a negative size', hint='see 7.1')",
        "StudentRaised",
        "a negative size: expected ValueError. Your code stopped with KeyError: -1\n"
        "  in attention, line 2 of its cell: raise KeyError(q)\n"
        "  hint: see 7.1",
    ),
    "the error asked for": (
        """
            class Negative(ValueError):
                pass
            def attention(q):
                raise Negative(q)
        """,
        "check.raises(ValueError, lambda: attention(-1), 'a negative size')",
        "passed",
        "",
    ),
    "the error asked for, of a class that each side defines": (
        """
            class Negative(Exception):
                pass
            def attention(q):
                raise Negative(q)
        """,
        "check.raises(type('Negative', (Exception,), {}), lambda: attention(-1), 'a negative size')",
        "passed",
        "",
    ),
    "a wrong value": (
        """
            import torch
            def attention(q):
                return torch.zeros(2)
        """,
        """
            import torch
            check.close(check.run(lambda: attention(1)), torch.ones(2), 'two ones', hint='add 1')
        """,
        "WrongValues",
        "two ones: 2 of 2 values differ, largest difference 1\n"
        "  [0]: expected 1, got 0\n"
        "  [1]: expected 1, got 0\n"
        "  hint: add 1",
    ),
    "a mistake of the test cell": (
        "",
        "check.close(1.0, 1.0, 'one', tolerance=(1, 1))",
        "CellError",
        "A tolerance other than the default needs a reason: check.close(..., tolerance=..., because=...).",
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_all_that_is_shown_is_the_message_for(case, outcome):
    answer, test, verdict, text = SHOWN[case]
    assert outcome(answer, test) == Outcome(verdict, text)


def test_a_syntax_error_in_the_answer_leads_back_to_its_cell():
    shown = in_a_notebook("def attention(q)\n    return q", "from torchgrade import check\n" + ASK)
    assert shown.text == (
        "name 'attention' is not defined. Run the cell that defines it; did that cell stop with an error?"
    )


def test_a_cell_without_a_number_names_the_function():
    test = "from torchgrade import check\n" + ASK
    assert in_a_notebook(STUB, test).text == judged(STUB, test).text == "attention: not answered yet"


def test_a_very_long_text_or_line_is_cut(outcome):
    answer = f"def attention(q):\n    raise ValueError('x' * 10**6 + str({' + '.join('1' * 100)}))"
    text, place = outcome(answer, ASK).text.splitlines()
    assert len(text) < 350 and len(place) < 150


def test_a_very_deep_recursion_is_told_in_two_lines(outcome):
    shown = outcome("def attention(q):\n    return attention(q)", ASK)
    assert shown.text.startswith("Your code stopped with RecursionError: maximum recursion depth exceeded")
    assert len(shown.text.splitlines()) == 2


def test_every_failure_has_a_kind_of_its_own_and_is_no_error_of_the_cell():
    classes = [CheckFailed, *CheckFailed.__subclasses__()]
    assert len({one.kind for one in classes}) == len(classes)
    assert not issubclass(CellError, CheckFailed) and not issubclass(CheckFailed, CellError)
