"""`torchgrade doctor`: how well can this machine isolate a submission, in a cold sandbox and in a warm one?"""

import contextlib
import functools

from torchgrade.kernels.warm import NoParent, Parent, WarmSandbox
from torchgrade.sandbox import cgroup, selftest
from torchgrade.sandbox.tier import Tier, tier, why_not


def run() -> int:
    """0 if submissions can be graded here."""
    if reason := why_not():
        print(f"tier {Tier.T0.name}: {reason}")
        return 1
    broken = _try("started by bubblewrap", selftest.Sandbox)
    with contextlib.closing(Parent()) as parent:
        try:
            parent.wait_until_ready()
            broken += _try("forked from the warm parent", functools.partial(WarmSandbox, parent))
        except NoParent as error:
            print(f"\nNo warm kernels here ({error}): each kernel starts by itself, which costs seconds.")
    if broken:
        print(f"\ntier {Tier.T0.name}: {broken} attempts succeeded. Do not grade here.")
        return 1
    if tier() is Tier.T3:
        print(f"\ntier {Tier.T3.name}: bubblewrap, limits, control groups.")
    else:
        print(f"\ntier {Tier.T2.name}: bubblewrap, limits. Not here: control groups (T3); {cgroup.REMEDY}")
    return 0


def _try(how: str, start: selftest.Start) -> int:
    """The number of attempts that succeeded, which should be 0."""
    print(f"\nA sandbox {how}:")
    broken = 0
    for trial in selftest.trials(start):
        broken += not trial.held
        print(f"{'held  ' if trial.held else 'BROKEN'}  {trial.what:<40} {trial.said[:100]}", flush=True)
    return broken
