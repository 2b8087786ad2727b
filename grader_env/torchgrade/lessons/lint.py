"""`torchgrade lesson lint`: the rules of a good lesson that a machine can check, each a function of its own."""

from torchgrade.lessons import (
    rules_contract,
    rules_exercises,
    rules_graded,
    rules_names,
    rules_plots,
    rules_prose,
    rules_results,
    rules_shape,
    rules_split,
    rules_spoilers,
)
from torchgrade.lessons.findings import Finding, Rule
from torchgrade.lessons.master import Master
from torchgrade.lessons.values import values_are_right

RULES: tuple[Rule, ...] = (
    *rules_graded.RULES,
    *rules_split.RULES,
    *rules_results.RULES,
    *rules_exercises.RULES,
    *rules_spoilers.RULES,
    *rules_names.RULES,
    *rules_plots.RULES,
    *rules_prose.RULES,
    *rules_shape.RULES,
    *rules_contract.RULES,
    values_are_right,
)


def findings(master: Master) -> list[Finding]:
    """Everything the rules find: first about the lesson as a whole, then in the order of its cells."""
    found = [finding for rule in RULES for finding in rule(master)]
    place = {cell.id: number for number, cell in enumerate(master.notebook.cells, 1)}
    return sorted(found, key=lambda finding: place[finding.cell.id] if finding.cell is not None else 0)


def run(masters: list[Master]) -> int:
    """Print what the rules find, one line each. 1 if they find something, else 0."""
    total = 0
    for master in masters:
        found = findings(master)
        for finding in found:
            print(finding.text(master))
        count = len(found)
        print(f"{master.name}: {'clean' if not count else '1 finding' if count == 1 else f'{count} findings'}")
        total += count
    if (hours := rules_contract.hours_fit(masters)) is not None:
        print(hours)
        total += 1
    return 1 if total else 0
