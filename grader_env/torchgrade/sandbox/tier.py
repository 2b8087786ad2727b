"""How well this machine can isolate a submission, tried out rather than assumed."""

import functools
import sys
from enum import IntEnum

from torchgrade.errors import CourseError
from torchgrade.sandbox import cgroup
from torchgrade.sandbox.limits import Limits
from torchgrade.sandbox.sandbox import Sandbox


class Tier(IntEnum):
    """T0: nothing. T2: bubblewrap with limits, what grading needs. T3: and control groups. (T1, limits alone, is not
    built; containers and gVisor around everything are an operator's to add.)
    """

    T0 = 0
    T2 = 2
    T3 = 3


def tier() -> Tier:
    """What this machine allows."""
    if why_not():
        return Tier.T0
    return Tier.T2 if cgroup.hierarchies() is None else Tier.T3


@functools.cache
def why_not() -> str:
    """What keeps a sandbox from starting here, with the remedy; empty if one starts."""
    try:
        with Sandbox([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"], limits=Limits()) as sandbox:
            sandbox.wait(30)
            if sandbox.program_ended() == 7:
                return ""
            said = sandbox.errors().strip().splitlines()
    except CourseError as error:
        return str(error)
    return f"bubblewrap does not start: {said[-1] if said else 'no reason given'}. {remedy(' '.join(said))}"


def require_tier(minimum: str) -> None:
    """Raises CourseError where submissions cannot be isolated as well as `minimum` ("T2") says."""
    if minimum not in Tier.__members__:
        known = ", ".join(Tier.__members__)
        raise CourseError(f"no tier {minimum!r}.", where="c.RunCells.minimum_tier", remedy=f"One of: {known}.")
    if Tier[minimum] < Tier.T2:
        raise CourseError(
            "there is no grading without a sandbox.", where="c.RunCells.minimum_tier", remedy="Say T2 or T3."
        )
    if reason := why_not():
        raise CourseError(f"submissions cannot be isolated here: {reason}", remedy="See `torchgrade doctor`.")
    if tier() < Tier[minimum]:
        raise CourseError(
            "control groups are not to be had here.", where="c.RunCells.minimum_tier", remedy=cgroup.REMEDY
        )


def remedy(words: str) -> str:
    """What to do when bubblewrap says `words`."""
    if any(sign in words for sign in ("namespace", "No permissions", "uid map", "not permitted")):
        return (
            "User namespaces are not allowed. On Debian: sysctl kernel.unprivileged_userns_clone=1. On Ubuntu 23.10 and"
            " later: install the distribution's bubblewrap with its AppArmor profile, or sysctl"
            " kernel.apparmor_restrict_unprivileged_userns=0. In a container: allow the system calls unshare and mount"
            " in its seccomp profile, or grade outside it."
        )
    return "Is the disk full, or a folder of the Python installation unreadable?"
