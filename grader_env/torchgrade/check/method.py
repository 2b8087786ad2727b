"""`forbids`: where the task is to build something, the ready-made one does not count."""

import sys
from types import FunctionType

from torchgrade.check import probe, student
from torchgrade.check.failures import WrongMethod


def forbids(name: str, operators: str | tuple[str, ...], because: str, *, call: FunctionType | None = None) -> None:
    """The student's `name`, and what it uses of the notebook, must do without `operators`.

    operators: names such as "einsum"; "for" and "while" stand for loops, comprehensions included
    because: one sentence that says what to do instead
    call: a probe; the torch functions called while it runs are looked at too, so an alias does not help

    Raises WrongMethod, and NotAnswered or StudentRaised if `call` stops. Without a `call`, an unfilled stub passes: it
    uses nothing. Best effort: it reads names in code and watches torch functions called from Python, both on the
    student's side. Whoever wants around it gets around it; the check says what the exercise is about.
    """
    forbidden = {operators} if isinstance(operators, str) else set(operators)
    who = student.current() or student.LocalStudent(sys._getframe(1).f_globals)
    used = set(probe.value_of(who.names_used(name)))
    if call is not None:
        reply = probe.ask(call, watch="calls")
        if reply.raised is not None:
            raise probe.explained(reply.raised, probe.exercise_of(call))
        used |= set(reply.seen["calls"])
    found = sorted(used & forbidden)
    if found:
        raise WrongMethod(f"{name} uses {', '.join(f'`{one}`' for one in found)}: {because}")
