"""What a test cell cannot do with `check.run` is said in plain words, in a notebook as under a grader."""

import pytest
from check_cells import DOUBLE
from torchgrade import check

# What stops a test cell -> the class of the error and a piece of its text
REFUSED = {
    "the test's names inside a text are not found": (
        DOUBLE,
        "x = 1\ncheck.run(lambda: eval('double(x)'))",
        "StudentRaised: name 'x' is not defined",
    ),
    "a generator cannot be given": (
        "",
        "g = (i for i in range(3))\ncheck.run(lambda: list(g))",
        "CellError: check.run cannot copy what this cell gives to the student's code: cannot pickle 'generator' object",
    ),
    "a lock cannot be given": (
        "",
        "import threading\nl = threading.Lock()\ncheck.run(lambda: l)",
        "CellError: check.run cannot",
    ),
    "a function with required arguments cannot be asked": (
        "",
        "check.run(lambda x: x)",
        "CellError: check.run takes a function",
    ),
    "a function of torch cannot be asked": ("", "check.run(torch.rand)", "CellError: check.run takes a function"),
    "a value cannot be asked": ("", "check.run(torch.ones(2))", "CellError: check.run takes a function"),
    "a generator cannot come back": (
        "def numbers():\n    yield 1",
        "check.run(lambda: numbers())",
        "NotComparable: The result holds a generator; return tensors, numbers, text, lists or dicts.",
    ),
    "a coroutine cannot come back": (
        "async def f():\n    pass",
        "check.run(lambda: f().close() or f)",
        "NotComparable: The",
    ),
    "a module cannot come back": (
        "import torch\nmodel = torch.nn.Linear(1, 1)",
        "check.run(lambda: [model])",
        "NotComparable: The result holds a Linear",
    ),
    "a set cannot come back": ("", "check.run(lambda: {1})", "NotComparable: The result holds a set"),
    "a dtype cannot come back": ("", "check.run(lambda: torch.float32)", "NotComparable: The result holds a dtype"),
    "an array cannot come back": (
        "import numpy",
        "check.run(lambda: numpy.ones(2))",
        "NotComparable: The result holds a ndarray",
    ),
    "a torch.Generator cannot come back": (
        "",
        "check.run(lambda: torch.Generator())",
        "NotComparable: The result holds a Gen",
    ),
    "a sparse tensor cannot come back": (
        "",
        "check.run(lambda: torch.ones(2).to_sparse())",
        "NotComparable: The result holds a tensor of layout torch.sparse_coo",
    ),
    "a meta tensor cannot come back": (
        "",
        "check.run(lambda: torch.ones(2, device='meta'))",
        "NotComparable: The result holds a tensor of layout torch.strided, dtype torch.float32, device meta",
    ),
    "an unknown name is told with what to do": (
        "",
        "check.run(lambda: double(1))",
        "StudentRaised: name 'double' is not defined. Run the cell that defines it; did that cell stop with an error?",
    ),
    "a wrong shape is told before anything is indexed": (
        DOUBLE,
        "check.run(lambda: double(torch.ones(3)), shape=(2, 3))",
        "WrongShape: Expected shape (2, 3), got (3,).",
    ),
    "a result that has no shape is told": (
        "def nothing(x):\n    x",
        "check.run(lambda: nothing(3), shape=(2, 3))",
        "WrongType: Expected a tensor of shape (2, 3), got None (is a `return` missing?).",
    ),
}


@pytest.mark.parametrize("promise", REFUSED)
def test_it_is_said_clearly_that(promise, verdict):
    answer, test, message = REFUSED[promise]
    assert verdict(answer, test).startswith(message)


@pytest.mark.parametrize(
    "test",
    [
        "check.run(double)",
        "f = double\ncheck.run(lambda: f(1))",
        "check.run(lambda f=double: f(1))",
        "def helper(f=double):\n    return f(1)\ncheck.run(lambda: helper())",
        "model = Model()\ncheck.run(lambda: model.x)",
        "class Mine(Model):\n    pass\ncheck.run(lambda: Mine().x)",
    ],
)
def test_naming_what_is_the_students_outside_a_probe_stops_the_cell_everywhere(test, verdict):
    answer = "def double():\n    return 2\nclass Model:\n    x = 1"
    # NameError where it is alone in its namespace
    assert verdict(answer, test).startswith(("CellError: ", "NameError: "))


def test_a_cell_without_its_source_is_told_so():
    namespace: dict = {"check": check}
    with pytest.raises(check.CellError, match="needs the source of its cell"):
        exec("check.run(lambda: 1)", namespace)
