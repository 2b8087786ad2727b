"""A process that can read almost nothing and reach nobody."""

from torchgrade.sandbox.limits import Limits
from torchgrade.sandbox.sandbox import Sandbox
from torchgrade.sandbox.tier import require_tier

__all__ = ["Limits", "Sandbox", "require_tier"]
