"""`check.forbids` finds the ready-made operator under other names, and nothing in what a student built alone."""

import pytest
from check_cells import cell, in_a_notebook, judged

IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


@pytest.fixture(params=[in_a_notebook, judged])
def verdict(request):
    def run(answer: str, operators: object = "softmax", call: str = "None") -> str:
        test = f"""
            import torch
            from torchgrade import check
            x = torch.ones(2)
            check.forbids("f", {operators!r}, "build it", call={call})
        """
        return str(request.param(IMPORTS + cell(answer), test))

    return run


USES_SOFTMAX = {
    "directly": """
        def f(x):
            return torch.softmax(x, 0)
    """,
    "as a method": """
        def f(x):
            return x.softmax(0)
    """,
    "as a lambda": "f = lambda x: x.softmax(0)",
    "by an alias": """
        sm = torch.softmax
        def f(x):
            return sm(x, 0)
    """,
    "by an alias inside": """
        def f(x):
            sm = F.softmax
            return sm(x, 0)
    """,
    "imported by another name": """
        from torch import softmax as sm
        def f(x):
            return sm(x, 0)
    """,
    "imported inside": """
        def f(x):
            from torch import softmax as sm
            return sm(x, 0)
    """,
    "as the answer itself": "f = torch.softmax",
    "as a partial": """
        from functools import partial
        f = partial(torch.softmax, dim=0)
    """,
    "as a partial used": """
        from functools import partial
        sm = partial(F.softmax, dim=0)
        def f(x):
            return sm(x)
    """,
    "as a default argument": """
        def f(x, sm=torch.softmax):
            return sm(x, 0)
    """,
    "as a keyword argument": """
        def f(x, *, sm=torch.softmax):
            return sm(x, 0)
    """,
    "in a closure": """
        def make(sm):
            def f(x):
                return sm(x, 0)
            return f
        f = make(torch.softmax)
    """,
    "in a helper": """
        def helper(x):
            return torch.softmax(x, 0)
        def f(x):
            return helper(x)
    """,
    "in a helper's helper": """
        def h(x):
            return torch.softmax(x, 0)
        g = lambda x: h(x)
        def f(x):
            return g(x)
    """,
    "in a nested function": """
        def f(x):
            def inner():
                return [torch.softmax(y, 0) for y in x]
            return inner()
    """,
    "in a class": """
        class f(nn.Module):
            def forward(self, x):
                return torch.softmax(x, 0)
    """,
    "in a parent class": """
        class P:
            def go(self, x):
                return torch.softmax(x, 0)
        class f(P):
            pass
    """,
    "in a static method": """
        class f:
            @staticmethod
            def go(x):
                return torch.softmax(x, 0)
    """,
    "in a class method": """
        class f:
            @classmethod
            def go(cls, x):
                return torch.softmax(x, 0)
    """,
    "in a property": """
        class f:
            @property
            def go(self):
                return torch.softmax(self.x, 0)
    """,
    "as an attribute of a class": """
        class f:
            go = torch.softmax
    """,
    "in a class that a function uses": """
        class C:
            def go(self, x):
                return torch.softmax(x, 0)
        def f(x):
            return C().go(x)
    """,
    "in an object that a function uses": """
        class C:
            def go(self, x):
                return torch.softmax(x, 0)
        c = C()
        def f(x):
            return c.go(x)
    """,
    "in a bound method": """
        class C:
            def go(self, x):
                return torch.softmax(x, 0)
        f = C().go
    """,
    "under a decorator of torch": """
        @torch.no_grad()
        def f(x):
            return torch.softmax(x, 0)
    """,
    "under a cache": """
        import functools
        @functools.cache
        def f(x):
            return torch.softmax(x, 0)
    """,
    "compiled": """
        @torch.compile(backend='eager')
        def f(x):
            return torch.softmax(x, 0)
    """,
    "in an own decorator": """
        def soft(fn):
            def inner(x):
                return torch.softmax(fn(x), 0)
            return inner
        @soft
        def f(x):
            return x
    """,
}

USES_NO_SOFTMAX = {
    "in a comment or a text": (
        'def f(x):\n    """No softmax, no for."""\n    # softmax\n    return x + len("softmax for while")'
    ),
    "elsewhere in the notebook": """
        def other(x):
            return torch.softmax(x, 0)
        def f(x):
            return x
    """,
    "as a helper of the student's own": """
        def softmax(x):
            return x.exp() / x.exp().sum()
        def f(x):
            return softmax(x)
    """,
    "as an own method": """
        class f:
            def softmax(self, x):
                return x.exp()
            def go(self, x):
                return self.softmax(x)
    """,
    "as a variable": """
        def f(x):
            softmax = x.exp()
            return softmax
    """,
    "as a number": """
        softmax = 3
        def f(x):
            return x + softmax
    """,
    "as an attribute that is only set": """
        class f:
            def go(self, x):
                self.softmax = x.exp()
    """,
    "in a relative": """
        def f(x):
            return x.log_softmax(0)
    """,
    "in a recursion": """
        def f(n):
            return n and f(n - 1)
    """,
    "inside torch": """
        def f(x):
            return F.cross_entropy(x, x) + F.max_pool2d(x, 2)
    """,
}


@pytest.mark.parametrize("how", USES_SOFTMAX)
def test_it_is_found_when_used(how, verdict):
    assert verdict(USES_SOFTMAX[how]) == "WrongMethod: f uses `softmax`: build it"


@pytest.mark.parametrize("how", USES_NO_SOFTMAX)
def test_it_is_not_found_when_it_is_only(how, verdict):
    assert verdict(USES_NO_SOFTMAX[how], ("softmax", "for", "while")) == "passed"


@pytest.mark.parametrize(
    "answer, loop",
    [
        ("def f(x):\n    for y in x:\n        pass", "for"),
        ("def f(x):\n    return [y for y in x]", "for"),
        ("def f(x):\n    return sum(y for y in x)", "for"),
        ("f = lambda x: {y: 1 for y in x}", "for"),
        ("def f(x):\n    while x:\n        pass", "while"),
        ("def h(x):\n    for y in x:\n        pass\ndef f(x):\n    return h(x)", "for"),
        ("@torch.no_grad()\ndef f(x):\n    for y in x:\n        pass", "for"),
        ("class f:\n    @staticmethod\n    def go(x):\n        while x:\n            pass", "while"),
        ("def f(x):\n    def inner():\n        while x:\n            pass\n    return inner()", "while"),
        ("def make():\n    def f(x):\n        for y in x:\n            pass\n    return f\nf = make()", "for"),
    ],
)
def test_loops_are_found(answer, loop, verdict):
    assert verdict(answer, ("for", "while")) == f"WrongMethod: f uses `{loop}`: build it"


@pytest.mark.parametrize("layer", ["nn.Softmax(0)", "nn.Sequential(nn.Linear(2, 2), nn.Softmax(0))", "nn.Softmax"])
def test_a_layer_is_found(layer, verdict):
    answer = f"layer = {layer}\ndef f(x):\n    return layer(x)"
    assert verdict(answer, "Softmax") == "WrongMethod: f uses `Softmax`: build it"


def test_several_operators_are_named_together(verdict):
    answer = "def f(x):\n    for y in x:\n        torch.einsum('i', y)\n    return x.softmax(0)"
    assert verdict(answer, ("softmax", "einsum", "for", "while")) == (
        "WrongMethod: f uses `einsum`, `for`, `softmax`: build it"
    )


HIDDEN = "def f(x):\n    return getattr(torch, 'soft' + 'max')(x, 0)"


def test_a_call_finds_what_no_name_shows(verdict):
    assert verdict(HIDDEN) == "passed"
    assert verdict(HIDDEN, call="lambda: f(x)") == "WrongMethod: f uses `softmax`: build it"


@pytest.mark.parametrize("operator", ["matmul", "detach", "view", "reshape", "contiguous", "numpy", "cpu"])
def test_a_call_does_not_count_what_the_check_itself_does(operator, verdict):
    assert verdict("def f(x):\n    return x * 2", operator, call="lambda: f(x)") == "passed"


def test_an_error_during_the_call_is_told(verdict):
    shown = verdict("def f(x):\n    return x / None", call="lambda: f(x)")
    assert shown.startswith("StudentRaised: Your code stopped with TypeError: unsupported operand")


def test_a_result_that_cannot_be_compared_does_not_matter_to_the_method(verdict):
    assert verdict("def f(x):\n    return {1}", call="lambda: f(x)") == "passed"


def test_a_name_that_is_nowhere_is_told(verdict):
    assert verdict("g = 1").startswith("StudentRaised: name 'f' is not defined. Run the cell that defines it")
