"""Tools for authors: masters, mistake banks, and the proofs that tests catch mistakes and releases leak nothing."""

from torchgrade.lessons.bank import accepted, mistake

__all__ = ["accepted", "mistake"]
