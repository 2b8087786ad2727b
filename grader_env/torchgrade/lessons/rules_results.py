"""The rule for results of `check.run`: nothing is done with one before it was checked.

What a student's code returns may be of any type and shape. So a result goes straight to `check.close` and friends, or
is given a `shape=`; only then is it indexed, unpacked, iterated over or computed with. A tuple, list or dict that the
cell's own function builds has a known structure: its parts may be taken out, and are results themselves.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Master
from torchgrade.lessons.outline import tree_of

OWN = ast.Tuple | ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
COMPREHENSION = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
WALKS = {"zip", "enumerate", "list", "tuple", "sorted", "reversed", "len", "dict"}  # the structure, not the parts
LOOKS = {"print", "repr", "isinstance", "type", "callable"}  # work on anything whatever


def result_is_checked_before_use(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        reader = _Reader(tree_of(cell))
        for line, what in reader.found:
            yield Finding(
                cell,
                f"line {line}: {what} before it is checked.",
                "Give it to check.close first, or give check.run a shape=(...).",
            )


class _Reader:
    """Reads a cell from top to bottom; `open` holds the names of unchecked results: name -> is it the cell's own?"""

    def __init__(self, tree: ast.Module):
        self.found: list[tuple[int, str]] = []
        self.open: dict[str, bool] = {}
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self.run(tree.body)

    def run(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.step(statement)

    def step(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self.open.pop(name, None)
            case ast.Assign(targets=targets, value=value):
                self.read(value)
                for target in targets:
                    self.bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.read(value)
                self.bind(target, value)
            case ast.AugAssign(target=target, value=value):
                self.use(target)
                self.use(value)
            case ast.For(target=target, iter=iterable, body=body, orelse=orelse):
                self.walk(target, iterable)
                self.run([*body, *orelse])
            case _:
                for part in ast.iter_child_nodes(statement):
                    match part:
                        case ast.expr():
                            self.read(part) if isinstance(statement, ast.Expr) else self.use(part)
                        case ast.stmt():
                            self.step(part)
                        case ast.withitem(context_expr=context):
                            self.read(context)
                        case ast.ExceptHandler(body=body) | ast.match_case(body=body):
                            self.run(body)

    def is_own(self, node: ast.AST) -> bool | None:
        """None: no unchecked result. False: one of unknown structure. True: one that the cell itself has built."""
        match node:
            case ast.Name(id=name):
                return self.open.get(name)
            case ast.Starred(value=value):
                return self.is_own(value)
            case ast.Call(func=func, args=args, keywords=keywords) if ast.unparse(func) == "check.run":
                return None if any(keyword.arg == "shape" for keyword in keywords) else self.builds(args[:1])
            case ast.Call(func=ast.Name(id=name), args=args) if name in WALKS - {"len"}:
                return True if any(map(self.is_own, args)) else None
            case ast.Call(func=ast.Attribute(value=value, attr="items" | "values")):
                return self.is_own(value) or None
            case ast.Subscript(value=value):
                return False if self.is_own(value) else None
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
                return True if any(self.is_own(part) is not None for part in parts) else None
            case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.DictComp(value=part):
                return True if self.is_own(part) is not None else None
        return None

    def read(self, node: ast.AST) -> None:
        """Look for uses inside `node`; an unchecked result as such (a name, a call) is not used yet."""
        match node:
            case ast.Lambda():
                return
            case ast.Call(func=func) if ast.unparse(func).startswith("check."):
                self.parts(node)
                for name in ast.walk(node):
                    if isinstance(name, ast.Name) and ast.unparse(func) != "check.run":
                        self.open.pop(name.id, None)
            case ast.Call(func=ast.Name(id=name), args=args) if name in LOOKS or (
                name in WALKS and all(self.is_own(arg) is not False for arg in args)
            ):
                self.parts(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[item]):
                self.read(item)
                if self.is_own(item) is not None:
                    self.open[name] = True
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                isinstance(op, ast.Is | ast.IsNot) for op in ops
            ):
                for part in (left, *others):
                    self.read(part)
            case ast.BoolOp(values=[first, *rest]):
                self.read(first)
                with self.kept():
                    self.trust(first)
                    for part in rest:
                        self.use(part)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.use(test)
                with self.kept():
                    self.trust(test)
                    self.read(body)
                    self.read(orelse)
            case ast.Subscript(value=value, slice=index) if self.is_own(value):
                self.read(value)
                self.use(index)
            case ast.Attribute(value=value) if self.is_own(value):
                self.read(value)
            case ast.Tuple() | ast.List() | ast.Set() | ast.Dict() | ast.Starred() | ast.FormattedValue():
                self.parts(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self.comprehension(node)
            case _:
                for child in ast.iter_child_nodes(node):
                    self.use(child.value if isinstance(child, ast.keyword) else child)

    def parts(self, node: ast.AST) -> None:
        for part in ast.iter_child_nodes(node):
            self.read(part.value if isinstance(part, ast.keyword) else part)

    def comprehension(self, node: COMPREHENSION) -> None:
        with self.kept():
            for loop in node.generators:
                self.walk(loop.target, loop.iter)
                for condition in loop.ifs:
                    self.use(condition)
            made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for expression in made:
                self.read(expression)

    def use(self, node: ast.AST) -> None:
        """`node` is indexed, computed with or handed to other code."""
        self.read(node)
        if self.is_own(node) is not None:
            name = node.id if isinstance(node, ast.Name) else None
            what = f"{name!r}, a result of check.run, is used" if name else "a result of check.run is used"
            self.found.append((getattr(node, "lineno", 0), what))
            self.open.pop(name or "", None)

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        own = self.is_own(value)
        match target, value:
            case (ast.Tuple(elts=names) | ast.List(elts=names), ast.Tuple(elts=values) | ast.List(elts=values)) if len(
                names
            ) == len(values):
                for one, other in zip(names, values, strict=True):
                    self.bind(one, other)
            case ast.Tuple() | ast.List(), _:
                if own is False:
                    self.use(value)
                self.name(target, False if own else None)
            case ast.Subscript(value=ast.Name(id=name)), _ if own is not None:
                self.open[name] = True
            case _:
                self.name(target, own)

    def walk(self, target: ast.expr, iterable: ast.expr) -> None:
        """`target` takes the parts of `iterable`, one after the other."""
        self.read(iterable)
        own = self.is_own(iterable)
        if own is False:
            self.use(iterable)
        self.name(target, False if own else None)
        match target, iterable:
            case ast.Tuple(elts=[first, *_]), ast.Call(func=ast.Name(id="enumerate") | ast.Attribute(attr="items")):
                self.name(first, None)  # an index, or a key
            case ast.Tuple(elts=names), ast.Call(func=ast.Name(id="zip"), args=args) if len(names) == len(args):
                for name, arg in zip(names, args, strict=True):
                    self.name(name, None if self.is_own(arg) is None else False)

    def name(self, target: ast.AST, own: bool | None) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and own is not None:
                self.open[node.id] = own
            elif isinstance(node, ast.Name):
                self.open.pop(node.id, None)

    def trust(self, test: ast.expr) -> None:
        """After `x is not None` or isinstance(x, ...) the author knows what x is."""
        for node in ast.walk(test):
            looks = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
            if looks or (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.IsNot)):
                self.name(node, None)

    @contextmanager
    def kept(self) -> Iterator[None]:
        before = dict(self.open)
        yield
        self.open = before

    def builds(self, asked: list[ast.expr]) -> bool:
        """Whether what check.run asks is a function of this cell that returns a structure of its own."""
        match asked:
            case [ast.Lambda(body=body)]:
                return self.is_built(body, body)
            case [ast.Name(id=name)] if name in self.functions:
                function = self.functions[name]
                values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
                return bool(values) and all(self.is_built(value, function) for value in values)
        return False

    def is_built(self, value: ast.expr, function: ast.AST) -> bool:
        match value:
            case ast.Call(func=ast.Name() as inner) if inner.id in self.functions:
                return self.builds([inner])
            case ast.Name(id=name):
                return any(map(_is_own, _assigned(name, function)))
        return _is_own(value)


def _is_own(value: ast.expr) -> bool:
    return isinstance(value, OWN)


def _assigned(name: str, function: ast.AST) -> Iterator[ast.expr]:
    """The expressions that `function` assigns to `name`, also as `name, other = [], 0`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = [*zip(target.elts, node.value.elts, strict=False)]
                yield from (value for one, value in pairs if isinstance(one, ast.Name) and one.id == name)


RULES = (result_is_checked_before_use,)
