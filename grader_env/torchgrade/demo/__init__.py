"""The whole course loop on one lesson, with sample submissions, in a course root of its own: `torchgrade demo`."""

from torchgrade.demo.run import run

__all__ = ["run"]
