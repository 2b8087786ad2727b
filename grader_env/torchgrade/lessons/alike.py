"""Do two wrong answers look alike to a graded cell?"""

from dataclasses import dataclass

from torchgrade.check import codec
from torchgrade.check.close import close
from torchgrade.check.failures import CheckFailed
from torchgrade.check.student import Reply


@dataclass(frozen=True)
class Answers:
    """What the code of a student (or of a mistake) was heard to say in a graded cell that failed.

    heard: ("probe" or "names", its reply) for every question, in order
    message: what the cell stopped with
    """

    heard: tuple[tuple[str, Reply], ...]
    message: str


def alike(one: Answers, other: Answers) -> bool:
    """Whether every question got the same reply, within the tolerance of `check.close`."""
    if any(kind == "names" for kind, _ in one.heard):  # equal programs may differ in them, not in what the cell says
        return one.message == other.message
    return len(one.heard) == len(other.heard) and all(
        kind == other_kind and _same(reply, other_reply)
        for (kind, reply), (other_kind, other_reply) in zip(one.heard, other.heard, strict=True)
    )


def _same(one: Reply, other: Reply) -> bool:
    if one.raised is not None or other.raised is not None:
        return _raised(one) == _raised(other)
    if one.unsendable is not None or other.unsendable is not None:
        return one.unsendable == other.unsendable
    try:
        close(codec.decode(one.header, one.body), codec.decode(other.header, other.body), "the same result")
    except (codec.Unreadable, CheckFailed):
        return False
    return True


def _raised(reply: Reply) -> tuple[str, str] | None:
    return (reply.raised.kinds[0], reply.raised.message) if reply.raised else None
