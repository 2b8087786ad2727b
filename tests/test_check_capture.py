"""Inside `check.run` a test cell's names are its own and every other name is the student's.

Each promise is kept in a student's notebook and where a grader keeps the student's names apart from the test's.
"""

import ast

import pytest
from check_cells import DOUBLE
from torchgrade.check.capture import bound_names


def test_helper_functions_call_each_other_and_the_student(verdict):
    test = """
        def twice(x):
            return once(once(x))
        def once(x):
            return double(x)
        check.close(check.run(lambda: twice(torch.ones(2))), torch.full((2,), 4.), "twice")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_helper_function_may_be_recursive(verdict):
    test = """
        def power(n):
            return 1 if n == 0 else double(power(n - 1))
        check.close(check.run(lambda: power(5)), 32, "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_lambdas_may_be_nested(verdict):
    test = """
        n = 3
        check.close(check.run(lambda: (lambda a: (lambda b: double(a + b + n))(2))(1)), 12, "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_closure_travels(verdict):
    test = """
        def probe(n):
            inner = lambda: double(n)
            return check.run(inner)
        check.close(probe(3), 6, "closure")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_loop_variable_has_the_value_of_its_round(verdict):
    test = """
        for n in range(3):
            check.close(check.run(lambda: double(n)), 2 * n, "")
            check.close(check.run(lambda m=n: double(m)), 2 * n, "as a default argument")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_comprehension_may_run_inside_and_around_a_probe(verdict):
    test = """
        n = [1, 2]
        check.close(check.run(lambda: [double(i) for i in n]), [2, 4], "")
        check.close([check.run(lambda: double(i)) for i in n], [2, 4], "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_default_and_keyword_arguments_of_helpers_travel(verdict):
    test = """
        one = 1
        def helper(a=one, *, b=one + 1):
            return double(a + b)
        check.close(check.run(helper), 6, "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_partial_travels(verdict):
    test = """
        from functools import partial
        add = partial(torch.add, other=1)
        check.close(check.run(lambda: double(add(torch.ones(1)))), torch.full((1,), 4.), "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_class_of_the_test_cell_its_parent_and_its_methods_travel(verdict):
    test = """
        class Parent:
            def grow(self, x):
                return double(x)
        class Child(Parent):
            def grow(self, x):
                return super().grow(x) + 1
        child = Child()
        check.close(check.run(lambda: child.grow(2)), 5, "")
        check.close(check.run(lambda: (isinstance(child, Parent), Child().grow(1))), (True, 3), "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_dataclasses_named_tuples_and_enums_travel(verdict):
    answer = """
        def area(box):
            return box.width * box.height
        def name(color):
            return color.name
    """
    test = """
        from dataclasses import dataclass
        from collections import namedtuple
        from enum import Enum
        @dataclass(frozen=True)
        class Box:
            width: int
            height: int = 4
        Pair = namedtuple("Pair", "width height")
        class Color(Enum):
            RED = 1
        box, pair, red = Box(3), Pair(2, 5), Color.RED
        check.close(check.run(lambda: (area(box), area(Box(1)), area(pair), name(red))), (12, 4, 10, "RED"), "")
        check.close(check.run(lambda: red is Color.RED and red in Color), True, "one enum")
    """
    assert verdict(answer, test) == "passed"


def test_a_module_class_of_the_test_cell_travels(verdict):
    answer = """
        def apply(model, x):
            return model(x)
    """
    test = """
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.w = torch.nn.Parameter(torch.ones(2))
            def forward(self, x):
                return self.w * x
        net = Net()
        check.close(check.run(lambda: apply(net, 3)), torch.full((2,), 3.), "")
        check.close(check.run(lambda: Net().w.requires_grad), True, "made inside")
    """
    assert verdict(answer, test) == "passed"


def test_the_tests_name_wins_over_the_students(verdict):
    answer = """
        import torch
        def double(x):
            return x * 2
        rows = "mine"
    """
    test = """
        rows = 3
        check.close(check.run(lambda: double(rows)), 6, "")
    """
    assert verdict(answer, test) == "passed"


def test_a_name_may_be_given_a_new_value_between_probes(verdict):
    test = """
        n = 1
        check.close(check.run(lambda: double(n)), 2, "")
        n = 5
        check.close(check.run(lambda: double(n)), 10, "")
    """
    assert verdict(DOUBLE, test) == "passed"


def test_a_name_of_an_earlier_cell_is_the_students(verdict):
    answer = """
        size = 7
        class Model:
            def size(self):
                return size
    """
    test = 'check.close(check.run(lambda: (size, Model().size())), (7, 7), "")'
    assert verdict(answer, test) == "passed"


def test_imports_by_another_name_from_a_module_and_by_star_travel(verdict):
    answer = """
        def show(*texts):
            return list(texts)
    """
    test = """
        import torch.nn.functional as F
        from math import floor, ceil as up
        from string import *
        check.close(check.run(lambda: show(floor(1.5), up(1.5), digits)), [1, 2, "0123456789"], "")
        check.close(check.run(lambda: F.relu(torch.tensor(-1.))), torch.tensor(0.), "")
    """
    assert verdict(answer, test) == "passed"


def test_the_students_names_can_be_looked_up_by_text(verdict):
    test = 'check.close(check.run(lambda: globals()["double"](2) + eval("double(3)")), 10, "")'
    assert verdict(DOUBLE, test) == "passed"


def test_a_global_that_a_function_of_the_cell_sets_is_the_cells(verdict):
    test = """
        def start():
            global started
            started = 3
        start()
        check.close(check.run(lambda: double(started)), 6, "")
    """
    assert verdict(DOUBLE, test) == "passed"


@pytest.mark.parametrize(
    "source, names",
    [
        ("a, (b, *c) = d[e] = f", "a b c"),
        ("a: int = 1\nb += 1\nc.d = e", "a b"),
        ("def a(b, c=d):\n    e = 1", "a"),
        ("async def a():\n    b = 1", "a"),
        ("@a\nclass b(c):\n    d = 1", "b"),
        ("for a, b in c:\n    d = 1\nelse:\n    e = 1", "a b d e"),
        ("with a as b, c as (d, e):\n    f = 1", "b d e f"),
        ("try:\n    a = 1\nexcept b as c:\n    d = 1\nfinally:\n    e = 1", "a c d e"),
        ("import a.b, c as d\nfrom e.f import g, h as i", "a d g i"),
        ("match a:\n    case [b, *c] | {'x': (b, *c)}:\n        pass\n    case {**e} as f:\n        pass", "b c e f"),
        ("if (a := b):\n    while c:\n        d = 1", "a d"),
        ("[(a := b) for c in d if (e := c)]", "a e"),
        ("f(lambda a: (b := a))", ""),
        ("def f():\n    global a\n    a = b = 1", "a f"),
    ],
)
def test_the_names_that_a_cell_binds_are_its_own(source, names):
    assert bound_names(ast.parse(source)) == set(names.split())
