"""Rules for names: a graded cell starts from nothing, and leaves nothing that another cell needs.

Bodies of functions and lambdas are not looked at in a test: `check.run` gives them to the student's side, where other
names are the student's.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator

from torchgrade.check.capture import bound_names
from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Cell, Master, nbgrader
from torchgrade.lessons.outline import tree_of

ALWAYS = {*dir(builtins), "__name__", "__file__", "__doc__"}


def test_starts_from_nothing(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        tree = tree_of(cell)
        if not _imports_a_star(tree):
            known = bound_names(tree) | ALWAYS
            unknown = {name: line for name, line in reversed([*_reads(tree)]) if name not in known}
            for name, line in sorted(unknown.items(), key=lambda item: item[1]):
                yield Finding(
                    cell,
                    f"line {line}: it reads {name!r}, which it does not define.",
                    "Import or define it here; ask for the student's names inside check.run(lambda: ...).",
                )


def nothing_needs_a_test(master: Master) -> Iterator[Finding]:
    graded = master.graded
    ours = [cell for cell in master.code_cells if nbgrader(cell).get("grade_id") not in graded]
    everywhere = ALWAYS.union(*(bound_names(tree_of(cell)) for cell in ours))
    before: set[str] = set(ALWAYS)  # what cells that are no tests have defined so far
    tests: dict[str, str] = {}  # name -> the test that has defined it
    for cell in master.code_cells:
        tree = tree_of(cell)
        if nbgrader(cell).get("grade_id") in graded:
            tests |= dict.fromkeys(bound_names(tree), nbgrader(cell)["grade_id"])
            continue
        before |= bound_names(tree)
        needed = {name for name, _ in _reads(tree)} - before | _globals_of_functions(cell) - everywhere
        for name in sorted(needed & tests.keys()):
            yield Finding(
                cell,
                f"it reads {name!r}, which only the test {tests[name]} defines.",
                "Define it in a cell that is no test, before this one.",
            )


def _reads(node: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """(name, line) of what running `node` reads by name, without the bodies of functions and without `local` names."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            if name not in local:
                yield name, node.lineno
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            now = [*node.decorator_list, *_defaults(node.args)]
        case ast.Lambda():
            now = _defaults(node.args)
        case ast.ClassDef():
            for part in (*node.decorator_list, *node.bases, *node.keywords):
                yield from _reads(part, local)
            local |= bound_names(ast.Module(body=node.body, type_ignores=[]))
            now = [*node.body]
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            targets = (name for part in node.generators for name in ast.walk(part.target))
            local |= {name.id for name in targets if isinstance(name, ast.Name)}
            now = [*ast.iter_child_nodes(node)]
        case _:
            now = [*ast.iter_child_nodes(node)]
    for part in now:
        yield from _reads(part, local)


def _defaults(arguments: ast.arguments) -> list[ast.AST]:
    return [*arguments.defaults, *filter(None, arguments.kw_defaults)]


def _globals_of_functions(cell: Cell) -> set[str]:
    """Names that the cell's functions look up in the notebook when they are called."""
    try:
        tables = symtable.symtable(cell.source, "cell", "exec").get_children()
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    while tables:
        table = tables.pop()
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        tables += table.get_children()
    return found


def _imports_a_star(tree: ast.Module) -> bool:
    return any(alias.name == "*" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names)


RULES = (test_starts_from_nothing, nothing_needs_a_test)
