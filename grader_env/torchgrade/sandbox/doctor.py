"""`torchgrade doctor`: how well can this machine isolate a submission?"""

from torchgrade.sandbox import selftest
from torchgrade.sandbox.tier import Tier, why_not


def run() -> int:
    """0 if submissions can be graded here."""
    if reason := why_not():
        print(f"tier {Tier.T0.name}: {reason}")
        return 1
    broken = 0
    for trial in selftest.trials():
        broken += not trial.held
        print(f"{'held  ' if trial.held else 'BROKEN'}  {trial.what:<40} {trial.said[:100]}", flush=True)
    if broken:
        print(f"tier {Tier.T0.name}: {broken} attempts succeeded. Do not grade here.")
        return 1
    print(
        f"tier {Tier.T2.name}: bubblewrap, limits. Not used: control groups (T3); around it, an operator may add more."
    )
    return 0
